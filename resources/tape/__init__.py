"""A tape library as a mock with the physics left in: bytes leave the disk, time passes as on tape.

`physics` is what a drive takes for what; `media` keeps the bytes of cartridges; `state` is what several processes share;
`scheduler` decides in which order things are done; `library` does them; `driver` is the storage resource in front of it.
"""

from resources.tape.physics import Clock, DriveModel, RealClock, VirtualClock

__all__ = ["Clock", "DriveModel", "RealClock", "VirtualClock"]
