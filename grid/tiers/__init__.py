"""Storage tiers at work: libraries on the catalog's state, and the process that moves the robot."""
