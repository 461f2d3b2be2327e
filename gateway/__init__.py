"""The gateway: holds feeds, pushes changes to devices, and answers their syncs exactly."""
