"""What kernels cost beside copying memory, beside pyFAI, and over a stored series beside what its stages need of two cores.

Each round times a copy and every kernel one after the other; what is printed are medians of the rounds' ratios. The bytes of a kernel are those that have to
move: pixels in, results out, and what is the same for all frames once for those that pass together.
"""

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy

from accel.device import best_device
from accel.errors import DeviceUnusable
from accel.geometry import Poni
from accel.kernel import Bound, Results
from accel.running import Runner
from accel.shipped import SHIPPED
from accel.users.binding import user_kernel

ROWS, COLUMNS, FRAMES = 2167, 2070, 8
ROUNDS = 9
PIXELS = ROWS * COLUMNS
PONI = Poni(0.15, 0.08, 0.08, 0.0, 0.0, 0.0, 75e-6, 75e-6)
BINS, POLARISATION = 1000, 0.95

USER_HITS = '''VERSION = "1.0"


def hits(frame: Frame, level: float = 10.0):
    """Counts pixels above a level."""
    count = 0
    for y, x in pixels(frame):
        if frame[y, x] > level:
            count += 1
    return {"count": count}
'''
USER_SUMMARY = '''VERSION = "1.0"


def corrected(frame: Frame, dark: Image, gain: Image, level: float = 10.0):
    """Corrects frames and sums them up."""
    count = 0
    good = 0
    total = 0.0
    highest = -1e30
    corrected_frame = image(frame)
    for y, x in pixels(frame):
        value = (frame[y, x] - dark[y, x]) * gain[y, x]
        corrected_frame[y, x] = value
        total += value
        good += 1
        highest = max(highest, value)
        if value > level:
            count += 1
    return {"count": count, "good": good, "total": total, "highest": highest, "corrected": corrected_frame}
'''


def _frames() -> tuple[Any, Any]:
    random = numpy.random.default_rng(1)
    frames = random.poisson(0.3, (FRAMES, ROWS, COLUMNS)).astype("u2")
    frames[:, 100::97, 50::89] = 300
    frames[:, ::512] = 65535
    return frames, (random.random((ROWS, COLUMNS)) < 0.01).astype("u1")


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def run() -> None:
    """Print every row."""
    try:
        device = best_device()
    except DeviceUnusable as error:
        print(error)
        return
    frames, mask = _frames()
    runner = Runner(device)
    _against_copy(runner, frames, mask)
    _against_pyfai(runner, frames, mask)
    _series()


def _bound(name: str, frames: Any, **parameters: Any) -> Bound:
    return SHIPPED[name].bind((ROWS, COLUMNS), frames.dtype, **parameters)


def _against_copy(runner: Runner, frames: Any, mask: Any) -> None:
    dark, gain = numpy.full((ROWS, COLUMNS), 0.5, "f4"), numpy.full((ROWS, COLUMNS), 1.1, "f4")
    own = {"mask": mask}
    kernels: dict[str, tuple[Bound, float, float | None]] = {  # bytes of a pixel in and out, of what is the same for all, and what is aimed at
        "correct": (_bound("correct", frames, **own, dark=dark, gain=gain), 6 + 9 / FRAMES, 0.7), "statistics": (_bound("statistics", frames, **own), 2 + 1 / FRAMES, 0.33),
        "hits": (_bound("hits", frames, **own), 2 + 1 / FRAMES, 0.33), "binned 2 x 2": (_bound("binned", frames, **own), 2 + 3 + 1, 0.45),
        "summary (fused)": (_bound("summary", frames, **own, dark=dark, gain=gain, above=5.0), 6 + 9 / FRAMES, 0.7), "peaks": (_bound("peaks", frames, **own), 2 + 1 / 8, None),
        "azimuthal": (_bound("azimuthal", frames, **own, geometry=PONI), 2 + 1 + 4 + 4, None), "sparse": (_bound("sparse", frames, **own), 2 + 1 / FRAMES, None),
        "parity": (_bound("parity", frames, **own), 2 + 24 / FRAMES, None), "lossy": (_bound("lossy", frames, error=2), 4, None),
        "user: hits": (user_kernel(USER_HITS).bind((ROWS, COLUMNS), frames.dtype, mask=mask), 2 + 1 / FRAMES, None),
        "user: corrected": (user_kernel(USER_SUMMARY).bind((ROWS, COLUMNS), frames.dtype, mask=mask, dark=dark, gain=gain), 6 + 9 / FRAMES, None),
    }  # fmt: skip
    target = numpy.empty_like(frames)
    kept: dict[str, Results] = {name: {} for name in kernels}
    ratios: dict[str, list[float]] = {name: [] for name in kernels}
    spent: dict[str, list[float]] = {name: [] for name in kernels}
    copied = []
    for number in range(ROUNDS + 1):
        copy = _timed(lambda: numpy.copyto(target, frames))
        rate = 2 * frames.nbytes / copy
        for name, (bound, traffic, _) in kernels.items():
            began = time.perf_counter()
            kept[name] = runner.run(bound, frames, 0, kept[name])
            took = time.perf_counter() - began
            if number:
                ratios[name].append(traffic * PIXELS * FRAMES / took / rate)
                spent[name].append(took / FRAMES)
        if number:
            copied.append(rate)
    print(
        f"{runner.runs_on}: {FRAMES} frames of {ROWS} x {COLUMNS} uint16, {frames.nbytes >> 20} MiB; a copy moves {statistics.median(copied) / 1e9:.1f} GB/s"
    )
    for name, (_, _, wanted) in kernels.items():
        median = statistics.median(spent[name])
        aim = f" (aim {wanted})" if wanted else ""
        print(
            f"{name:<16} {1000 * median:6.2f} ms a frame, {1 / median:6.0f} a second; {statistics.median(ratios[name]):5.2f} of a copy's rate{aim}"
        )
    for mine, theirs in (("user: hits", "hits"), ("user: corrected", "summary (fused)")):
        ratio = statistics.median(one / other for one, other in zip(spent[mine], spent[theirs], strict=True))
        print(f"{mine:<16} takes {ratio:.2f} x as long as the one by hand (aim 1.2)")


def _against_pyfai(runner: Runner, frames: Any, mask: Any) -> None:
    python = Path(".checkers/bin/python")
    if not python.exists():
        print("pyFAI is not installed beside; .ci/run does it")
        return
    lowest, highest = 0.0, 40.0
    with tempfile.TemporaryDirectory() as folder:
        numpy.save(f"{folder}/frames.npy", frames[:4])
        numpy.save(f"{folder}/mask.npy", (mask != 0) | (frames[0] == 65535))
        said = {"pixel": PONI.pixel1, "distance": PONI.distance, "poni1": PONI.poni1, "poni2": PONI.poni2, "bins": BINS, "range": [lowest, highest], "polarisation": POLARISATION}  # fmt: skip
        Path(folder, "said.json").write_text(json.dumps(said))
        with subprocess.Popen([str(python), "bench/pyfai_rounds.py", folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as other:  # fmt: skip
            assert other.stdin is not None and other.stdout is not None  # noqa: PT018
            methods = json.loads(other.stdout.readline())
            for split, aim in (("none", 5), ("bbox", 3)):
                # pyFAI widens its range by one step of single precision
                bound = _bound("azimuthal", frames, mask=mask, geometry=PONI, bins=BINS, range=(lowest, highest * (1 + 2**-23)), splitting=split, polarisation=POLARISATION, variance="no")  # fmt: skip
                ratios, mine = [], []
                found: Results = {}
                for number in range(ROUNDS):
                    print(split, file=other.stdin, flush=True)
                    theirs = float(other.stdout.readline())
                    began = time.perf_counter()
                    found = runner.run(bound, frames[:4])
                    took = (time.perf_counter() - began) / 4
                    if number:
                        ratios.append(theirs / took)
                        mine.append(took)
                curve = numpy.load(f"{folder}/{split}.npy")
                there = (found["counts"][3] > 0) & (curve != 0)
                difference = float(numpy.abs(found["intensity"][3][there] / curve[there] - 1).max())
                print(
                    f"azimuthal, splitting {split}: {1000 * statistics.median(mine):.1f} ms a frame, {statistics.median(ratios):.1f} x pyFAI's {methods[split]} (aim {aim});"
                    f" the largest relative difference is {difference:.1e}"
                )
            other.stdin.close()


def _series() -> None:
    """A stored series: the time against the CPU seconds of reading and of the kernel, on two cores."""
    import h5py
    import hdf5plugin

    from accel.apart import Recipe
    from accel.nexus import Origin
    from accel.reducing import Kept, reduce
    from accel.series import Series, find_frames, local

    count = 2000
    frames, _ = _frames()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "series.h5")
        with h5py.File(path, "w") as file:
            made = file.create_dataset(
                "data",
                (count, ROWS, COLUMNS),
                "u2",
                chunks=(1, ROWS, COLUMNS),
                **hdf5plugin.Bitshuffle(cname="lz4"),
            )
            chunks = []
            for number in range(FRAMES):
                made[number] = frames[number]
                chunks.append(made.id.read_direct_chunk((number, 0, 0)))
            for number in range(FRAMES, count):
                mask, data = chunks[number % FRAMES]
                made.id.write_direct_chunk((number, 0, 0), data, mask)
        for name in ("statistics", "azimuthal"):
            given = {"geometry": PONI} if name == "azimuthal" else {}
            recipe = Recipe(name, "", (ROWS, COLUMNS), "uint16", given)
            with h5py.File(path, "r") as file:
                series = Series(find_frames(file), local(path))
                whole, stages = [], []
                for number in range(3):
                    cpu, target = time.process_time(), numpy.empty_like(frames)
                    for begin in range(0, 32, FRAMES):
                        series.read(begin, target)
                    reading = (time.process_time() - cpu) / 32
                    runner, bound, out = Runner(best_device()), recipe.bind(), {}
                    runner.run(bound, frames)
                    cpu = time.process_time()
                    for _ in range(4):
                        out = runner.run(bound, frames, 0, out)
                    working = (time.process_time() - cpu) / 32
                    work = Path(folder, f"{name}{number}")
                    work.mkdir()
                    began = time.perf_counter()
                    reduce(series, recipe, Kept(work / "parts"), work, lambda on: Origin("series.h5", "/data", "", "", on, ("bench", "0")), lambda _, __: None)  # fmt: skip
                    took = (time.perf_counter() - began) / count
                    if number:
                        whole.append(took / ((reading + working) / 2))
                        stages.append((reading, working, took))
                series.close()
            reading, working, took = (statistics.median(one[n] for one in stages) for n in range(3))
            print(
                f"{name} of a stored series of {count}: {1 / took:.0f} frames a second; reading {1000 * reading:.1f} and kernel {1000 * working:.1f} CPU ms a frame;"
                f" {statistics.median(whole):.2f} x the bound of two cores (aim 1.3)"
            )
