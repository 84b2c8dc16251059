"""What may go wrong with devices and kernels."""


class AccelError(Exception):
    """Base of everything in this package that a caller may handle."""


class DeviceUnusable(AccelError):
    """A device cannot be used, or cannot any more; NumPy serves instead. The message says why, and what to do."""


class FramesRefused(AccelError):
    """Frames or parameters that a kernel cannot work on; the message says what was found and what was expected."""


class KernelRefused(AccelError):
    """A kernel's text is not of the language, or costs more than may be spent; the message begins with the line."""


class KernelEnded(AccelError):
    """A kernel was ended while it ran: it took more time or memory than it may, or its process died."""
