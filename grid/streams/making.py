"""Kernels that rules ask for, made ready for the frames of a stream."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any, Final

from accel.apart import Recipe
from accel.errors import FramesRefused
from accel.parameters import read_parameters, resolved
from accel.reducing import batch_of
from grid.errors import GridError
from grid.streams.kernels import KernelKey, StreamKernel
from grid.streams.messages import Start
from microservices import Grid, MicroserviceError
from microservices.reduction import beside, content_of, image_of, kernel_named, parameters_of

KEY_FILE: Final = "kernel.json"


class KernelMaker:
    """Makes the kernels of one stream; what each finds has a folder, which outlives this process.

    Args:
        grid: as who opened the stream may use it.
        path: of the stream's file.
        folder: for the kernels.
    """

    def __init__(self, grid: Grid, path: str, folder: Path) -> None:
        self._grid = grid
        self._path = path
        self._folder = folder

    def make(self, key: KernelKey, start: Start) -> StreamKernel:
        """A kernel in a process of its own.

        Raises:
            AccelError: there is none, or it cannot be made for these frames.
        """
        made = StreamKernel(
            self.recipe(key, start), self.folder(key), batch_of(start.shape, start.dtype.itemsize)
        )
        (made.folder / KEY_FILE).write_text(json.dumps(key))
        return made

    def folder(self, key: KernelKey) -> Path:
        """Where what a kernel finds is kept."""
        name = key[0].split(" ")[0]
        return self._folder / f"{name}-{hashlib.sha256(repr(key).encode()).hexdigest()[:12]}"

    def asked_for(self) -> list[KernelKey]:
        """The kernels that have found something, in this process or in one before."""
        found = []
        for path in sorted(self._folder.glob(f"*/{KEY_FILE}")):
            name, params, settings = json.loads(path.read_text())
            found.append((name, tuple((one, value) for one, value in params), settings))
        return found

    def recipe(self, key: KernelKey, start: Start) -> Recipe:
        """A kernel with its parameters. Raises as `make`."""
        said, params, settings = key
        try:
            name, text = kernel_named(self._grid, said)
            known = parameters_of(name, text)
            given = self._stored(settings) if settings else {}
            given |= {
                one: int(value) if value == int(value) else value
                for one, value in params
                if math.isfinite(value)
            }
            mask = next((image for (kind, _), image in start.images.items() if kind == "pixel_mask"), None)
            takes_mask = any(one.name == "mask" and one.kind == "image" for one in known)
            if mask is not None and takes_mask and "mask" not in given:
                given["mask"] = "pixel_mask"
            found = resolved(
                known,
                given,
                lambda one: content_of(self._grid, beside(self._path, one)),
                lambda one: self._image(one, mask),
            )
        except (GridError, MicroserviceError) as error:
            raise FramesRefused(str(error)) from error
        return Recipe(name, text, start.shape, start.dtype.name, found)

    def _stored(self, settings: str) -> dict[str, Any]:
        return read_parameters(
            content_of(self._grid, beside(self._path, settings)).decode("utf-8", "replace")
        )

    def _image(self, named: str, mask: Any) -> Any:
        if named == "pixel_mask" and mask is not None:
            return mask
        if "::" not in named:
            raise FramesRefused(
                f"found the image `{named}`; `pixel_mask`, which the detector sends, or FILE::/path/of/dataset was expected"
            )
        return image_of(self._grid, self._path, None, named)
