"""What kernels are told, from a file or a rule: names, kinds and bounds checked, images and geometries fetched."""

import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from accel.errors import FramesRefused
from accel.geometry import of_table, read_poni
from accel.kernel import Parameter

Fetch = Callable[[str], bytes]
"""The content of a file that a parameter names."""

FetchImage = Callable[[str], NDArray[Any]]
"""The image that a parameter names: `FILE::/path/of/dataset`, or `/path/of/dataset` in the file of the frames."""


def read_parameters(text: str) -> dict[str, Any]:
    """Parameters from the text of a TOML file.

    Raises:
        FramesRefused: it is none.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FramesRefused(f"the parameters are no TOML: {error}") from error


def resolved(
    known: Sequence[Parameter], given: Mapping[str, Any], fetch: Fetch, fetch_image: FetchImage
) -> dict[str, Any]:
    """Parameters as a kernel takes them; what has a default and is not given is left out.

    Raises:
        FramesRefused: one is missing, unknown, of another kind, or out of its bounds; or what it names is not there.
    """
    by_name = {one.name: one for one in known}
    for name in given:
        if name not in by_name:
            raise FramesRefused(f"there is no parameter `{name}`; there are {', '.join(by_name)}")
    found = {}
    for name, one in by_name.items():
        if name in given:
            found[name] = _value(one, given[name], fetch, fetch_image)
        elif one.default is None and not one.optional:
            raise FramesRefused(f"the parameter `{name}` is missing: {one.summary or one.kind}")
    return found


def _value(one: Parameter, value: Any, fetch: Fetch, fetch_image: FetchImage) -> Any:
    match one.kind, value:
        case "image", str():
            return fetch_image(value)
        case "geometry", str():
            return read_poni(fetch(value).decode("utf-8", "replace"))
        case "geometry", dict():
            return of_table(value)
        case "choice", str() if value in one.choices:
            return value
        case "whole", int() | float() if not isinstance(value, bool) and value == int(value):
            return int(_bounded(one, value))
        case "number", int() | float() if not isinstance(value, bool):
            return _bounded(one, value)
        case "numbers", list() | tuple() if all(
            isinstance(v, int | float) and not isinstance(v, bool) for v in value
        ):
            return [_bounded(one, v) for v in value]
        case "numbers", int() | float() if not isinstance(value, bool):
            return [_bounded(one, value)]
        case "region", list() | tuple() if len(value) == 4 and all(type(v) is int for v in value):
            return tuple(value)
    wanted = {
        "choice": f"one of {', '.join(one.choices)}",
        "image": "the path of a dataset",
        "geometry": "a PONI file, or a table",
    }
    raise FramesRefused(
        f"found `{value}` as `{one.name}`; {wanted.get(one.kind, f'a {one.kind}')} was expected"
    )


def _bounded(one: Parameter, value: float) -> float:
    if not math.isfinite(value) or not one.least <= value <= one.most:
        raise FramesRefused(
            f"found `{value}` as `{one.name}`; a number from {one.least:g} to {one.most:g} was expected"
        )
    return value


def image_at(said: str, file: Any, opened: Callable[[str], Any]) -> NDArray[Any]:
    """The image that a parameter names, `FILE::/path/of/dataset` or `/path/of/dataset`.

    Args:
        said: what the parameter says.
        file: the open HDF5 file of the frames.
        opened: gives another file as `h5py.File` takes it: a path, or something to read from.

    Raises:
        FramesRefused: it is none, or is not in a file that can be read.
    """
    import h5py

    from accel.series import find_frames

    place, _, dataset = said.rpartition("::")
    if not place:
        return as_image(find_frames(file, dataset)[()], said)
    try:
        with h5py.File(opened(place), "r") as other:
            return as_image(find_frames(other, dataset)[()], said)
    except OSError as error:
        raise FramesRefused(f"`{place}` is no HDF5 file that can be read: {error}") from error


def as_image(array: Any, name: str) -> NDArray[Any]:
    """A dataset as an image: two dimensions, or three with one frame.

    Raises:
        FramesRefused: it is none.
    """
    found = numpy.asarray(array)
    if found.ndim == 3 and len(found) == 1:
        found = found[0]
    if found.ndim != 2 or found.dtype.kind not in "buif":
        raise FramesRefused(
            f"`{name}` has the shape {found.shape} and is of {found.dtype}; an image of numbers was expected"
        )
    return found
