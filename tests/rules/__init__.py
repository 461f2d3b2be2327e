"""Which test guards which rule of docs/protocol.md: each rule is broken once, on purpose."""
