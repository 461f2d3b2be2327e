"""Reads contacts, calendars and mails from files, item by item and byte for byte."""
