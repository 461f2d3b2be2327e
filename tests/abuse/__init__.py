"""Whoever may do harm does it here, to both brokers (docs/security.md)."""
