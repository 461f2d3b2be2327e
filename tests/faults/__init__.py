"""Disks that fail: the real stores above a C library that refuses, cuts short or kills."""
