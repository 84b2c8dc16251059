"""Kernels by users, bound to frames: what devices and NumPy run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy
from numpy.typing import NDArray

from accel.errors import FramesRefused, KernelRefused
from accel.frames import TYPES, Frames, check_form, checked_mask, image
from accel.kernel import (
    Bound,
    Kernel,
    OnDevice,
    Output,
    Parameter,
    Product,
    Results,
    Work,
    defines,
    digest_of,
)
from accel.shipped.source import source_of
from accel.users.bounds import Bounded, bound
from accel.users.host import Host, Values
from accel.users.language import read_kernel
from accel.users.nodes import Name, Pixels, Program, Statement
from accel.users.opencl import Written, write
from accel.users.vectors import Vectors

MASK: Final = Parameter("mask", "image", "pixels that are not 0 there do not count", optional=True)


@dataclass(frozen=True)
class UserKernel:
    """A kernel that somebody wrote; has the form of those that come with the grid."""

    program: Program

    @property
    def KERNEL(self) -> Kernel:  # noqa: N802
        """Its description."""
        program = self.program
        return Kernel(
            program.name, program.version, program.summary, "as its text says", "relative 1e-4 for sums of floating point; whole numbers are exact",
            "b + 1 read, 4 for each image", program.text,
        )  # fmt: skip

    @property
    def PARAMETERS(self) -> tuple[Parameter, ...]:  # noqa: N802
        """What it may be told."""
        kinds = {"image": "image", "int": "whole", "float": "number"}
        return (
            MASK,
            *(Parameter(one.name, kinds[one.kind], "", one.default, least=one.least, most=one.most) for one in self.program.given),
        )  # fmt: skip

    def bind(
        self,
        shape: tuple[int, int],
        dtype: numpy.dtype[Any],
        *,
        mask: NDArray[Any] | None = None,
        **given: Any,
    ) -> Bound:
        """The kernel for frames; what is not given has its default.

        Raises:
            FramesRefused: a parameter is missing, unknown or out of its bounds.
            KernelRefused: a number may not fit, or it costs too much, with these parameters.
        """
        check_form(shape, dtype)
        own = checked_mask(mask, shape)
        values = self._values(shape, given)
        numbers = {name: value for name, value in values.items() if not isinstance(value, numpy.ndarray)}
        images = {name: value for name, value in values.items() if isinstance(value, numpy.ndarray)}
        made = _Made(
            self.program, bound(self.program, shape, dtype, numbers), shape, dtype, own, numbers, images
        )
        said = {**numbers, **{name: digest_of(value) for name, value in images.items()}, **({} if mask is None else {"mask": digest_of(own)})}  # fmt: skip
        passes = made.on_device()
        return Bound(
            self.KERNEL, said, shape, dtype, made.products(), passes[0][1].work, made.reference, passes=lambda each, count: made.run(each, count, passes)
        )  # fmt: skip

    def _values(self, shape: tuple[int, int], given: Mapping[str, Any]) -> dict[str, Any]:
        known = {one.name: one for one in self.program.given}
        for name in given:
            if name not in known:
                raise FramesRefused(f"`{self.program.name}` has no parameter `{name}`; it has {', '.join(known) or 'none'}")  # fmt: skip
        values: dict[str, Any] = {}
        for name, one in known.items():
            value = given.get(name, one.default)
            if one.kind == "image":
                if value is None:
                    raise FramesRefused(f"`{self.program.name}` also needs the image `{name}`")
                values[name] = image(name, value, shape)
            elif isinstance(value, bool) or not isinstance(value, int if one.kind == "int" else int | float) or not one.least <= value <= one.most:  # fmt: skip
                raise FramesRefused(f"found `{value}` as `{name}`; a number ({one.kind}) from {one.least:g} to {one.most:g} was expected")  # fmt: skip
            else:
                values[name] = value if one.kind == "int" else float(value)
        return values


def user_kernel(text: str) -> UserKernel:
    """A kernel from its text, for frames of one type at the least.

    Raises:
        KernelRefused: the message begins with the line.
    """
    found = UserKernel(read_kernel(text))
    problems = types_of(found)
    if all(problems.values()):
        raise KernelRefused(problems["uint16"])
    return found


def types_of(kernel: UserKernel) -> dict[str, str]:
    """For which types of frames a kernel is, with its defaults: why not, or nothing."""
    found = {}
    for name in TYPES:
        try:
            for shape in ((1, 1), (2167, 2070)):
                numbers = {one.name: one.default for one in kernel.program.given if one.default is not None}
                bound(kernel.program, shape, numpy.dtype(name), numbers)
            found[name] = ""
        except KernelRefused as error:
            found[name] = str(error)
    return found


def sources(
    kernel: UserKernel, dtype: numpy.dtype[Any], shape: tuple[int, int] = (2167, 2070)
) -> list[Written]:
    """The OpenCL C of a kernel with its defaults, for frames of a type."""
    numbers = {one.name: one.default for one in kernel.program.given if one.default is not None}
    return write(kernel.program, bound(kernel.program, shape, dtype, numbers))


@dataclass(frozen=True, eq=False)
class _Made:
    """A program for frames, with its parameters."""

    program: Program
    bounded: Bounded
    shape: tuple[int, int]
    dtype: numpy.dtype[Any]
    mask: NDArray[numpy.uint8]
    numbers: Mapping[str, Any]
    images: Mapping[str, NDArray[numpy.float32]]

    def products(self) -> tuple[Product, ...]:
        found = []
        for name, value in self.program.results:
            if isinstance(value, Name) and value.name in self.program.images:
                found.append(
                    Product(name, self.shape, "float32", "made by the kernel; NaN where nothing was drawn")
                )
            elif isinstance(value, Name) and value.name in self.bounded.bins:
                bins = self.bounded.bins[value.name]
                axis = ("bin", "", numpy.arange(bins, dtype=numpy.float64))
                found.append(Product(name, (bins,), "float64", "a histogram of the frame", axis=axis))
            else:
                found.append(Product(name, (), "float64", "a number of the frame"))
        return (*found, Product("outside", (), "uint64", "reads and bins that lay outside, which found 0"))

    # -- on a device -----------------------------------------------------------------------------------------

    def on_device(self) -> list[tuple[Written, Bound]]:
        return [(one, self._one(number, one)) for number, one in enumerate(write(self.program, self.bounded))]

    def _one(self, number: int, written: Written) -> Bound:
        kind = {True: numpy.int64, False: numpy.float64}
        outputs = (
            *(Output(numpy.float32, self.shape, product=self._drawn_as(name)) for name in written.images),
            *(Output(kind[whole], by_part=True) for _, whole in written.reductions),
            *(Output(kind[whole], (bins,), by_part=True) for _, bins, whole in written.histograms),
            *((Output(numpy.uint64, by_part=True),) if written.counts_outside else ()),
        )
        constants: tuple[NDArray[Any], ...] = (
            self.mask,
            *(self.images[name] for name in written.images_read),
        )
        numbers = (numpy.uint32(self.mask.size), numpy.int32(self.shape[0]), numpy.int32(self.shape[1]))
        work = Work(
            written.entry, source_of("") + written.source, defines(self.dtype), constants, numbers, outputs, few_parts=bool(written.histograms)
        )  # fmt: skip
        names = [f"number {name}" for name, _ in written.reductions] + [
            f"bins {name}" for name, _, _ in written.histograms
        ]
        names += ["outside"] if written.counts_outside else []
        operators = {
            f"number {name}": of.operator for name, of in self.bounded.passes[number].reductions.items()
        }
        products = tuple(Product(name, (), "float64", "") for name in names)
        return Bound(
            _INNER, {}, self.shape, self.dtype, products, work, lambda frames, _: {},
            lambda parts: {name: _TAKEN[operators.get(name, "+")](part) for name, part in zip(names, parts, strict=True)},
        )  # fmt: skip

    def _drawn_as(self, image: str) -> str:
        """The product that an image is, so that arrays of an earlier call may be written again."""
        named = (
            name for name, value in self.program.results if isinstance(value, Name) and value.name == image
        )
        return next(named, f"image {image}")

    def run(self, each: OnDevice, count: int, passes: Sequence[tuple[Written, Bound]]) -> Results:
        """Every loop on the device, and what lies between them here, for so many frames."""
        values: list[Values] = [dict(self.numbers) for _ in range(count)]
        drawn: Results = {}
        outside = numpy.zeros(count, numpy.uint64)
        number = 0
        for one in self.program.body:
            if not isinstance(one, Pixels):
                self._between([one], values)
                continue
            written, bound = passes[number]
            beside = None
            if written.beside:
                beside = numpy.array([[float(own[name]) for name in written.beside] for own in values])
            found = each(bound, beside)
            drawn |= {name: found[self._drawn_as(name)] for name in self.bounded.passes[number].drawn}
            self._take(found, values, number)
            outside += found.get("outside", numpy.uint64(0))
            number += 1
        return self._results(values, drawn, outside)

    def _between(self, statements: Sequence[Statement], values: Sequence[Values]) -> None:
        for own in values:
            Host(own, self.shape).run(statements)

    def _take(self, found: Results, values: Sequence[Values], number: int) -> None:
        one = self.bounded.passes[number]
        for frame, own in enumerate(values):
            for name, reduction in one.reductions.items():
                own[name] = _joined(reduction.operator, own[name], found[f"number {name}"][frame].item())
            for name in one.tallied:
                before = own.get(name)
                here = found[f"bins {name}"][frame]
                own[name] = here.tolist() if before is None else (numpy.asarray(before) + here).tolist()

    def _results(self, values: Sequence[Values], drawn: Results, outside: NDArray[Any]) -> Results:
        found: Results = {}
        for name, value in self.program.results:
            if isinstance(value, Name) and value.name in self.program.images:
                found[name] = drawn[value.name]
            elif isinstance(value, Name) and value.name in self.bounded.bins:
                bins = self.bounded.bins[value.name]
                found[name] = numpy.array([own.get(value.name, [0] * bins) for own in values], numpy.float64)
            else:
                found[name] = numpy.array(
                    [float(Host(own, self.shape).of(value)) for own in values], numpy.float64
                )
        return {**found, "outside": outside}

    # -- in NumPy --------------------------------------------------------------------------------------------

    def reference(self, frames: Frames, first: int) -> Results:
        """The same in NumPy, a frame at a time."""
        values: list[Values] = []
        drawn: dict[str, list[NDArray[Any]]] = {}
        outside = numpy.zeros(len(frames), numpy.uint64)
        for at, frame in enumerate(frames):
            own: Values = dict(self.numbers)
            host = Host(own, self.shape)
            passes = iter(self.bounded.passes)
            images: dict[str, NDArray[Any]] = {}
            for one in self.program.body:
                if not isinstance(one, Pixels):
                    host.run([one])
                    continue
                current = next(passes)
                vectors = Vectors(current, frame, self.mask, self.images, {**own}, self.bounded.bins)
                vectors.run()
                for name, found in vectors.reduced.items():
                    own[name] = _joined(current.reductions[name].operator, own[name], found.item())
                for name, found in vectors.tallied.items():
                    own[name] = (
                        found.tolist() if name not in own else (numpy.asarray(own[name]) + found).tolist()
                    )
                images |= vectors.drawn
                outside[at] += numpy.uint64(vectors.outside)
            values.append(own)
            for name, picture in images.items():
                drawn.setdefault(name, []).append(picture)
        empty = numpy.zeros((0, *self.shape), numpy.float32)
        return self._results(values, {name: numpy.stack(drawn[name]) if name in drawn else empty for name in self.program.images}, outside)  # fmt: skip


_INNER: Final = Kernel("loop", "", "", "", "", "", "")
_TAKEN: Final[Mapping[str, Any]] = {
    "+": lambda part: part.sum(axis=1), "min": lambda part: part.min(axis=1), "max": lambda part: part.max(axis=1),
}  # fmt: skip
_NEUTRAL: Final = {"min": (float("inf"), (1 << 63) - 1), "max": (float("-inf"), -(1 << 63))}


def _joined(operator: str, before: Any, found: Any) -> Any:
    """A number of the frame with what its pixels gave; nothing where none of them did."""
    if operator == "+":
        return before + found
    if found in _NEUTRAL[operator]:
        return before
    return min(before, found) if operator == "min" else max(before, found)
