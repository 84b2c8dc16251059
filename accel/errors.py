"""What may go wrong with devices and kernels."""


class AccelError(Exception):
    """Base of everything in this package that a caller may handle."""


class DeviceUnusable(AccelError):
    """A device cannot be used, or cannot any more; NumPy serves instead. The message says why, and what to do."""


class FramesRefused(AccelError):
    """Frames or parameters that a kernel cannot work on; the message says what was found and what was expected."""
