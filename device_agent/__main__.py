"""``python -m device_agent`` is ``device-agent``."""

from device_agent.cli import main

main()
