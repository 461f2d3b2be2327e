"""Renders contents into other forms for small devices, apart from the gateway's own process."""
