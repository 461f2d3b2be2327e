"""What costs what, as ratios within one run. Only shares that are promised are asserted."""
