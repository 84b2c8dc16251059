"""What is made of frames beside storing them: regions that rules name, what several kernels find, also after a crash."""

from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401
import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.errors import KernelEnded
from accel.shipped import SHIPPED
from grid.errors import StorageFull
from grid.streams.closing import Closing
from grid.streams.journal import Fate
from grid.streams.kernels import Decoder, StreamKernel
from grid.streams.messages import RAW, Image, Payload, Start
from grid.streams.regions import Region, Regions, compose, region_of
from tests.unit.grid.streams.judging import HEAD, PATH, VISIT, judged, metadata, say
from tests.unit.grid.streams.sending import (
    Carried,
    Detector,
    ask,
    frames,
    local_copy,
    over,
    series,
)

REGIONS = (
    HEAD
    + """
rule "of every third frame only a corner is kept, of the first frames a line as well" id corners
  during frame arrive at raw {
    if frame.number < 2 { emit region(frame: frame.number, top: 5, rows: 1) }
    if frame.number in [0, 3, 6, 9] {
      emit region(frame: frame.number, top: 2, left: 3, rows: 10, columns: 7)
      emit veto(frame: frame.number, reason: "a corner is enough")
    }
    if frame.number = 4 { emit region(frame: frame.number, top: 40, rows: 100) }
}
rule "vetoed frames go" id drop
  before frame store at raw
  when frame.vetoed { refuse "only a corner is kept" code FRAME_VETOED }
"""
)
TWO_KERNELS = (
    HEAD
    + """
rule "two kernels look" id look
  during frame arrive at raw {
    do run_kernel(stream, trusted_kernel("peaks", "2.0"), params_of(at.visit)) giving found
    do run_kernel(stream, trusted_kernel("hits", "HITS"), params_of(at.visit)) giving hits
    set frame.hits to hits.peaks
}
""".replace("HITS", SHIPPED["hits"].KERNEL.version)
)


def test_a_region_is_kept_where_its_frame_goes(
    carried: Carried, detector: Detector, rods, tmp_path: Path
) -> None:
    zone = carried.zone
    judged(zone, rods, REGIONS)
    opened = ask(zone, rods, path=PATH, source=detector.address, frames=12)
    detector.send(series(12))
    found = over(zone, rods, opened["stream"])
    assert (found["state"], found["result"]["stored"]) == ("done", 8), found
    assert (
        "found a region of 100 x 60 pixels from 40, 0; one within 48 x 60 was expected"
        in found["figures"]["problem"]
    )
    target = f"{VISIT}/scan1.regions.nxs"
    assert found["result"]["products"] == [target]
    assert metadata(zone, rods, target) == {"derived_from": PATH, "regions": "6"}
    folder, own = local_copy(zone, rods, tmp_path / "copy", VISIT), frames(12)
    with h5py.File(folder / "scan1.regions.nxs") as file:
        corners, lines = file["entry/region_10x7"], file["entry/region_1x60"]
        assert corners["frame_number"][...].tolist() == [0, 3, 6, 9]
        assert (set(corners["top"][...]), set(corners["left"][...])) == ({2}, {3})
        assert numpy.array_equal(corners["data"][...], own[[0, 3, 6, 9], 2:12, 3:10])
        assert numpy.array_equal(lines["data"][...], own[:2, 5:6])
    with h5py.File(folder / "scan1.nxs") as file:
        assert numpy.flatnonzero(file["entry/stream_eiger/fate"][...] == Fate.VETOED).tolist() == [0, 3, 6, 9]


@given(st.integers(-2, 9), st.integers(-2, 9), st.integers(-2, 9), st.integers(-2, 9))
def test_a_region_lies_within_its_frame_or_is_refused(top: int, left: int, rows: int, columns: int) -> None:
    said, shape = {"top": top, "left": left, "rows": rows, "columns": columns}, (7, 5)
    cut = numpy.zeros(shape)[max(top, 0) : top + rows, max(left, 0) : left + columns].shape
    if top >= 0 and left >= 0 and rows > 0 and columns > 0 and cut == (rows, columns):
        assert region_of(said, shape) == Region(top, left, rows, columns)
    else:
        with pytest.raises(ValueError, match="within 7 x 5 was expected"):
            region_of(said, shape)


def test_regions_of_a_segment_that_comes_again_are_not_there_twice(tmp_path: Path) -> None:
    from grid.streams.kernels import forget

    start = Start("s", 0, ("x",), (4, 4), numpy.dtype("u2"))
    pixels = numpy.arange(16, dtype="u2").reshape(4, 4)
    image = Image("s", 0, {"x": Payload(memoryview(pixels.tobytes()), (4, 4), pixels.dtype, RAW)})
    for turn in range(2):
        forget(tmp_path, {2})
        kept = Regions(tmp_path / "regions", Decoder("x"), start)
        if not turn:
            kept.keep(image, [Region(0, 0, 2, 2)], 1)
        kept.keep(image, [Region(1, 1, 2, 2)], 2)
        kept.flush()
    assert compose(tmp_path / "regions", tmp_path / "r.nxs", "/z/s.nxs") == 2
    with h5py.File(tmp_path / "r.nxs") as file:
        assert file["entry/region_2x2/data"][...].tolist() == [[[0, 1], [4, 5]], [[5, 6], [9, 10]]]
    assert compose(tmp_path / "none", tmp_path / "n.nxs", "/z/s.nxs") == 0
    assert not (tmp_path / "n.nxs").exists()


def test_two_kernels_have_parameters_of_their_own(
    carried: Carried, detector: Detector, rods, tmp_path: Path
) -> None:
    zone = carried.zone
    judged(zone, rods, TWO_KERNELS)
    say(
        zone,
        rods,
        kernel__least="1",
        kernel__peaks__radius="3",
        kernel__hits__above="20",
        kernel__hits__least="4",
    )
    opened = ask(zone, rods, path=PATH, source=detector.address, frames=10)
    detector.send(series(10))
    found = over(zone, rods, opened["stream"])
    assert (found["state"], found["figures"]["problem"]) == ("done", ""), found
    folder = local_copy(zone, rods, tmp_path / "copy", VISIT)
    said = {}
    for name in ("peaks", "hits"):
        with h5py.File(folder / f"scan1.{name}.nxs") as file:
            parameters: dict[str, object] = {}
            file.visititems(
                lambda path, item, into=parameters: (
                    into.update({path.rpartition("/")[2]: item[()]})
                    if "parameters" in path and isinstance(item, h5py.Dataset)
                    else None
                )
            )
            said[name] = parameters
    assert (said["peaks"]["radius"], said["peaks"]["least"]) == (3, 1)
    assert (said["hits"]["above"], said["hits"]["least"]) == (20.0, 4)


def test_what_a_kernel_found_is_kept_where_it_cannot_go_on(
    carried: Carried, detector: Detector, rods, tmp_path: Path, monkeypatch
) -> None:
    zone, real, asked = carried.zone, StreamKernel.run, list[int]()

    def ends(self: StreamKernel, numbers, *rest):
        asked.append(len(numbers))
        if numbers[0] >= 10:
            raise KernelEnded("it took too much")
        return real(self, numbers, *rest)

    judged(zone, rods)
    monkeypatch.setattr(StreamKernel, "run", ends)
    opened = ask(zone, rods, path=PATH, source=detector.address, frames=30)
    detector.send(series(30)[:11])
    detector.send(series(30)[11:], rate=200)
    found = over(zone, rods, opened["stream"])
    assert (found["state"], found["result"]["stored"]) == ("done", 30)
    assert "`peaks` does not look at frames: it took too much" in found["figures"]["problem"]
    assert f"{VISIT}/scan1.peaks.nxs" in found["result"]["products"]
    with h5py.File(local_copy(zone, rods, tmp_path / "copy", VISIT) / "scan1.peaks.nxs") as file:
        numbers = file["entry/series/frame"][...].tolist()
    assert numbers == list(range(len(numbers)))
    assert 0 < len(numbers) < 30


def test_what_kernels_found_outlives_an_end_that_failed(
    carried: Carried, detector: Detector, rods, tmp_path: Path, monkeypatch
) -> None:
    """No frame comes again then, so no kernel is asked again."""
    zone, real = carried.zone, Closing.close

    def broken(self: Closing, ended):
        raise StorageFull("no room")

    judged(zone, rods, POLICY_OF_ALL)
    monkeypatch.setattr(Closing, "close", broken)
    opened = ask(zone, rods, path=PATH, source=detector.address, frames=20)["stream"]
    detector.send(series(20))
    assert over(zone, rods, opened)["state"] == "failed"
    monkeypatch.setattr(Closing, "close", real)
    zone.host.call(rods, "stream_resume", {"streams": [opened]})
    found = over(zone, rods, opened)
    assert (found["state"], found["result"]["stored"]) == ("done", 20), found
    assert found["result"]["products"] == [
        f"{VISIT}/scan1.{one}" for one in ("peaks.nxs", "peaks.png", "regions.nxs")
    ]
    folder = local_copy(zone, rods, tmp_path / "copy", VISIT)
    with h5py.File(folder / "scan1.peaks.nxs") as file:
        assert file["entry/series/frame"][...].tolist() == list(range(20))
    with h5py.File(folder / "scan1.regions.nxs") as file:
        assert numpy.array_equal(file["entry/region_2x2/data"][...], frames(20)[:, :2, :2])


POLICY_OF_ALL = (
    HEAD
    + """
rule "a kernel looks, a region is kept" id look
  during frame arrive at raw {
    do run_kernel(stream, trusted_kernel("peaks", "2.0")) giving r
    set frame.hits to r.peaks
    emit region(frame: frame.number, rows: 2, columns: 2)
}
"""
)
