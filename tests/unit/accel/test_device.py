"""Devices: tried in a process of their own, described, given up when they fail; and what serves then."""

from pathlib import Path

import pytest

from accel.device import NO_LINKER, Device, DeviceInfo, devices, probed
from accel.errors import DeviceUnusable
from accel.running import CHUNKED, Runner
from accel.shipped import SHIPPED
from tests.unit.accel.test_kernels import device, made, same

__all__ = ["device"]


def test_devices_are_tried_and_described(device: Device) -> None:
    (found,) = [one for one in devices() if one.number == device.info.number]
    assert (found.problem, found.units > 0, found.memory_bytes > 0) == ("", True, True)


def test_a_machine_without_a_linker_is_told_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: Device
) -> None:
    if "ortable" not in device.info.platform:
        pytest.skip("only PoCL links with the machine's linker")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("POCL_CACHE_DIR", str(tmp_path / "cache"))
    found = probed()
    assert [one.problem for one in found if "ortable" in one.platform] == [NO_LINKER]


def test_a_probe_that_never_answers_is_given_up() -> None:
    assert probed(timeout_s=0.001) == []


def test_a_device_that_does_not_work_is_not_used() -> None:
    with pytest.raises(DeviceUnusable, match="`x` is not used: broken"):
        Device(DeviceInfo(0, "p", "x", "1", False, 1, 1, 1, "broken"))


def test_a_kernel_that_does_not_build_says_why(device: Device) -> None:
    with pytest.raises(DeviceUnusable, match="a kernel does not build"):
        device.kernel("x", "__kernel void x() { nonsense }", {})


def test_a_device_without_memory_lets_numpy_serve(device: Device, caplog) -> None:
    frames, mask = made("uint16", (4, 64, 64))
    bound, runner = SHIPPED["statistics"].bind((64, 64), frames.dtype, mask=mask), Runner(device, 100)
    same(runner.run(bound, frames), bound.reference(frames, 0), bound)
    assert (runner.runs_on, "bytes of its memory" in runner.problem) == ("NumPy", True)
    assert "NumPy serves instead" in caplog.text


def test_a_device_that_is_lost_in_mid_run_lets_numpy_serve(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, mask = made("uint16", (40, 64, 64))
    name = "enqueue_copy" if device.info.is_gpu else "enqueue_map_buffer"
    runner, real, calls = Runner(device, 40_000), getattr(device.cl, name), []
    bound = SHIPPED["statistics"].bind((64, 64), frames.dtype, mask=mask)
    runner.choose(bound, CHUNKED)

    def lost(*arguments: object, **more: object) -> object:
        calls.append(1)
        if len(calls) == 30:
            raise device.cl.RuntimeError("device lost")
        return real(*arguments, **more)

    monkeypatch.setattr(device.cl, name, lost)
    same(runner.run(bound, frames), bound.reference(frames, 0), bound)
    assert runner.runs_on == "NumPy"
    assert "device lost" in runner.problem


def test_a_shape_that_does_not_fit_is_not_chosen(device: Device) -> None:
    frames, mask = made("uint16", (2, 512, 512))
    runner = Runner(device, 1_200_000)
    bound = SHIPPED["statistics"].bind((512, 512), frames.dtype, mask=mask)
    same(runner.run(bound, frames), bound.reference(frames, 0), bound)
    assert (runner.problem, runner.shape_of(bound)) == ("", CHUNKED)
