"""What costs what, as ratios within one run. Nothing here is asserted: machines differ."""
