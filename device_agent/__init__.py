"""The device agent: keeps replicas of feeds on a handheld, over a bad link."""
