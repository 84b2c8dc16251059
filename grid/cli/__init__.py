"""Programs: `beamgrid` for who runs a zone, the i-commands for who uses one."""
