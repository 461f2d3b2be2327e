"""What the gateway and the device agent share as programs: settings files, secrets, TLS."""
