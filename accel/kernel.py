"""What a kernel is: its description, its parameters and results as data, and one bound to frames of a shape and a type.

`Work` is how a device does it, `Bound.reference` what it means; the tests hold them to be the same.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy
from numpy.typing import NDArray

from accel.errors import FramesRefused
from accel.frames import Frames

Results = dict[str, NDArray[Any]]
"""By the names of products: (frames, ...) for what there is of each frame."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a kernel may be told.

    Attributes:
        kind: `whole`, `number`, `numbers`, `region` (four whole numbers), `choice`, `image` (a number for each pixel) or `geometry`.
        default: None where it must be given, unless `optional`.
        least, most: of a number, or of each of several.
    """

    name: str
    kind: str
    summary: str
    default: Any = None
    optional: bool = False
    least: float = -numpy.inf
    most: float = numpy.inf
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """A result.

    Attributes:
        shape: of one frame's.
        of_all: there is one for all frames together, which later frames add to.
        listed: one flat list for all frames; the product named here says how many are of each.
        axis: for curves: name, unit and values of what they go over.
        scale: what a value is to be multiplied with; 0 for values that are what they say.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    summary: str
    unit: str = ""
    of_all: bool = False
    listed: str = ""
    axis: tuple[str, str, NDArray[numpy.float64]] | None = None
    scale: float = 0.0


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel.

    Attributes:
        name: as rules and programs name it.
        version: changes whenever results may.
        summary: one sentence.
        formula: what it computes, for who reads about it.
        tolerance: how far a device's result may be from the reference's, in words; empty for exact.
        traffic: bytes read and written for a pixel of b bytes.
        source: the OpenCL C that is compiled, or the text that it is made from.
    """

    name: str
    version: str
    summary: str
    formula: str
    tolerance: str
    traffic: str
    source: str

    @property
    def digest(self) -> str:
        """SHA-256 of name, version and source, in hexadecimal digits."""
        return hashlib.sha256(f"{self.name} {self.version}\n{self.source}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Output:
    """What a launch writes.

    Attributes:
        dtype, shape: of one frame's, or of one part of it.
        by_part: there is one for each part of a frame, which `Bound.finish` puts together.
        of_all: there is one for a whole launch.
        product: the product that this is, as it is written; empty for what `Bound.finish` makes one of.
    """

    dtype: Any
    shape: tuple[int, ...] = ()
    by_part: bool = False
    of_all: bool = False
    product: str = ""


@dataclass(frozen=True, eq=False)
class Work:
    """How a device does it: `entry(pixels, constants..., numbers..., [frames, first,] outputs...)`.

    Attributes:
        constants: read by all work-items of all frames; the first one is the mask.
        numbers: NumPy scalars.
        grids: a launch in each of the two shapes, without its last dimension, the frames; none for one over parts of frames.
        few_parts: each part costs much memory.
        of_all: a work-item goes through all frames of a launch, and is told how many, and the number of the first one.
    """

    entry: str
    source: str
    defines: Mapping[str, str]
    constants: tuple[NDArray[Any], ...]
    numbers: tuple[Any, ...]
    outputs: tuple[Output, ...]
    grids: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    few_parts: bool = False
    of_all: bool = False


@dataclass(frozen=True, eq=False)
class Bound:
    """A kernel with its parameters, for frames of one shape and type.

    Attributes:
        parameters: as results name them: numbers, texts, and arrays by the SHA-256 of their bytes.
        finish: makes products from what was written by parts, for some frames.
        reference: what it means: products of frames, the first of which has this number.
        conclude: products of all frames together, from their sums.
        passes: for a kernel that goes through frames several times: given what runs one of its own on a device, with numbers of each frame, and how many frames there are, its products.
    """

    kernel: Kernel
    parameters: Mapping[str, Any]
    frame_shape: tuple[int, int]
    dtype: numpy.dtype[Any]
    products: tuple[Product, ...]
    work: Work
    reference: Callable[[Frames, int], Results]
    finish: Callable[[Sequence[NDArray[Any]]], Results] = field(default=lambda _: {})
    conclude: Callable[[Results], Results] = field(default=lambda found: found)
    passes: "Callable[[OnDevice, int], Results] | None" = None

    def check(self, frames: Frames) -> Frames:
        """Frames as the kernel was bound for.

        Raises:
            FramesRefused: other ones.
        """
        if frames.ndim != 3 or frames.shape[1:] != self.frame_shape or frames.dtype != self.dtype:
            raise FramesRefused(
                f"found frames of {frames.dtype} with the shape {frames.shape[1:]}; `{self.kernel.name}` was bound for {self.dtype}, {self.frame_shape}"
            )
        return numpy.ascontiguousarray(frames)

    def together(self, several: Sequence[Results]) -> Results:
        """The results of frames that follow each other, as those of all of them; what is of all frames is added."""
        if len(several) == 1:
            return several[0]
        found: Results = {}
        for product in self.products:
            own = [one[product.name] for one in several if product.name in one]
            if own:
                found[product.name] = numpy.add.reduce(own) if product.of_all else numpy.concatenate(own)
        return found


OnDevice = Callable[[Bound, "NDArray[numpy.float64] | None"], Results]
"""Runs a kernel over the frames in question, with numbers of each frame beside them."""


class Shipped(Protocol):
    """A module of `accel.shipped`."""

    @property
    def KERNEL(self) -> Kernel:  # noqa: N802
        """Its description."""

    @property
    def PARAMETERS(self) -> tuple[Parameter, ...]:  # noqa: N802
        """What it may be told."""

    def bind(self, shape: tuple[int, int], dtype: numpy.dtype[Any], **parameters: Any) -> Bound:
        """The kernel for frames; parameters by name, as `PARAMETERS` says. Raises `FramesRefused` on what cannot be."""


_C_TYPES: Final = {"uint8": "uchar", "uint16": "ushort", "uint32": "uint", "int32": "int", "float32": "float"}
_KINDS: Final = {"u": "0", "i": "1", "f": "2"}


def defines(dtype: numpy.dtype[Any]) -> dict[str, str]:
    """What a kernel's source is compiled with for pixels of a type."""
    if dtype.kind == "f":
        smallest, largest = "(-INFINITY)", "INFINITY"
    else:
        limits = numpy.iinfo(dtype)
        # the smallest int has no literal of its own in C
        smallest = f"({limits.min + 1}-1)" if limits.min < 0 else "0"
        largest = f"{limits.max}{'u' if dtype.kind == 'u' else ''}"
    mark = f"{numpy.iinfo(dtype).max}u" if dtype.kind == "u" else "0"
    return {
        "T": _C_TYPES[dtype.name],
        "KIND": _KINDS[dtype.kind],
        "WIDE": str(int(dtype.itemsize == 4)),
        "MARK": mark,
        "SMALLEST": smallest,
        "LARGEST": largest,
    }


def digest_of(array: NDArray[Any]) -> str:
    """The SHA-256 of an array's bytes, in hexadecimal digits, as parameters of results have it."""
    return hashlib.sha256(numpy.ascontiguousarray(array).tobytes()).hexdigest()
