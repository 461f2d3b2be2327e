"""What ``gateway broker-config`` writes: a broker's configuration, accounts and certificates."""
