"""The words by which streams are asked for; apart from what carries them, so that who only asks loads little."""

from typing import Final

DECTRIS, OWN = "dectris", "beamgrid"
FORMATS: Final = (DECTRIS, OWN)
"""What a sender speaks: DECTRIS Stream V2, or the grid's own format."""

WAIT, NEWEST, VETO, STOP = "wait", "drop-newest", "veto", "stop"
WHEN_SLOW: Final = (WAIT, NEWEST, VETO, STOP)
"""What becomes of frames for which there is no time."""
