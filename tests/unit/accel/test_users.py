"""Kernels that people write: what is of the language, and that a device, NumPy and Python find the same."""

import secrets
import textwrap

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.errors import FramesRefused, KernelEnded, KernelRefused
from accel.frames import TYPES
from accel.running import CHUNKED, STRIDED, Runner
from accel.users.binding import sources, types_of, user_kernel
from accel.users.proving import prove
from tests.conftest import SOAK
from tests.unit.accel.kernels_by_users import BRIGHT, EVERYTHING, random_kernel
from tests.unit.accel.test_kernels import device, made

__all__ = ["device"]


@pytest.mark.parametrize("text", [BRIGHT, EVERYTHING])
def test_a_device_numpy_and_python_find_the_same(device, text: str) -> None:
    proof = prove(user_kernel(text), Runner(device), seed := secrets.randbelow(1 << 30))
    print("seed", seed)
    assert proof.disagreements == ()
    assert proof.cases >= 25
    assert not any(proof.types.values())


def test_random_kernels_mean_one_thing(device) -> None:
    """A share of 12; 400 in the soak."""
    began = secrets.randbelow(1 << 30)
    print("seed", began)
    compared = 0
    for seed in range(began, began + (400 if SOAK else 12)):
        kernel = user_kernel(random_kernel(seed))
        proof = prove(kernel, Runner(device), seed, (TYPES[seed % 5],))
        assert [str(one) for one in proof.disagreements[:3]] == [], kernel.program.text
        compared += proof.cases
    assert compared > 30


def test_results_by_hand() -> None:
    frames = numpy.array([[[1, 3, 5], [65535, 2, 9]], [[0, 0, 0], [0, 0, 0]]], "u2")
    found = Runner(None).run(user_kernel(BRIGHT).bind((2, 3), frames.dtype), frames)
    assert (found["count"].tolist(), found["mean"][0], found["outside"].tolist()) == ([3, 0], 17 / 3, [0, 0])
    assert numpy.isnan(found["mean"][1])
    found = Runner(None).run(
        user_kernel(BRIGHT).bind((2, 3), frames.dtype, level=4.0, mask=numpy.array([[0, 0, 1], [0, 0, 0]])),
        frames,
    )
    assert found["count"].tolist() == [1, 0]


def test_numbers_before_the_loop_are_known_in_it(device) -> None:
    text = BRIGHT.replace(
        "    count = 0\n", "    count = 0\n    limit = sqrt(level) * 2.0\n    twice = limit + 0.0\n", 1
    ).replace("frame[y, x] > level", "frame[y, x] > twice")
    frames, _ = made("uint16", (3, 20, 30))
    bound = user_kernel(text).bind((20, 30), frames.dtype, level=4.0)
    for runner in (Runner(device), Runner(None)):
        found = runner.run(bound, frames)
        assert found["count"].tolist() == ((frames > 4) & (frames != 65535)).sum(axis=(1, 2)).tolist()
        assert runner.problem == ""


def test_what_lies_outside_is_0_and_counted(device) -> None:
    text = BRIGHT.replace("frame[y, x] > level", "frame[y - 1, x + 100000] > level")
    frames, _ = made("uint16", (2, 5, 6))
    for runner in (Runner(device), Runner(None)):
        found = runner.run(user_kernel(text).bind((5, 6), frames.dtype), frames)
        assert (found["count"].tolist(), found["outside"].tolist()) == (
            [0, 0],
            [int((frame != 65535).sum()) for frame in frames],
        )


def test_launch_shapes_and_batches_give_the_same(device) -> None:
    frames, mask = made("uint16", (9, 40, 50))
    bound = user_kernel(BRIGHT).bind((40, 50), frames.dtype, mask=mask)
    wanted = bound.reference(frames, 0)
    for limit in (1 << 28, 40_000):
        found = Runner(device, limit).run(bound, frames)
        assert numpy.array_equal(found["count"], wanted["count"])
    assert (CHUNKED, STRIDED) == (0, 1)


def test_the_opencl_of_a_kernel_can_be_read() -> None:
    (written,) = sources(user_kernel(BRIGHT), numpy.dtype("uint16"))
    assert "const int when_1 = ok & (pixel > 2);" in written.source, "2.5 is no pixel"
    assert "u_count__own += when_1 ? 1 : 0;" in written.source


def test_digests_are_those_of_the_text() -> None:
    assert user_kernel(BRIGHT).KERNEL.digest != user_kernel(BRIGHT.replace("2.5", "2.6")).KERNEL.digest
    assert user_kernel(BRIGHT).KERNEL.digest == user_kernel(BRIGHT).KERNEL.digest


def test_a_kernel_that_is_not_for_every_type_says_so() -> None:
    kernel = user_kernel(BRIGHT.replace("count += 1", "count += frame[y, x] ** 4"))
    types = types_of(kernel)
    assert (types["uint8"], types["uint16"], types["float32"]) == ("", types["uint16"], "")
    assert "may not fit 64 bits" in types["uint32"]
    with pytest.raises(KernelRefused, match="line 11: a whole number may not fit"):
        kernel.bind((10, 10), numpy.dtype("u4"))


# -- what is refused -----------------------------------------------------------------------------------------


def body(text: str) -> str:
    lines = textwrap.indent(textwrap.dedent(text).strip(), "    ")
    return f'VERSION = "1.0"\n\n\ndef k(frame: Frame, dark: Image, level: float = 2.5, radius: between(1, 3) = 2):\n    """Words."""\n{lines}\n'


LOOP = "n = 0\nfor y, x in pixels(frame):\n    {}\nreturn {{'n': n}}"
REFUSED = [
    ("import os", "line 1: only `VERSION", ""), ("VERSION = '1'\ndef k(frame: Frame):\n    return {}", "docstring", ""), ("x = (", "this is no Python", ""),
    ("VERSION = '1'", "one of them is missing", ""), ("\0", "this is no Python", ""), ("VERSION = 1\n" + BRIGHT, "were expected here", ""),
    (BRIGHT.replace("def bright", "async def bright"), "were expected here", ""), (BRIGHT.replace("frame: Frame, ", ""), "was expected to be `level: Frame`", ""),
    (BRIGHT.replace("float = 2.5", "float"), "needs a default", ""), (BRIGHT.replace("float = 2.5", "str = 'x'"), "was expected to be `Image`", ""),
    (BRIGHT.replace("level: float = 2.5", "level: between(1, 3) = 9"), "a number (int) from 1 to 3", ""), (BRIGHT.replace("level", "frame2", 1), "", "may have no value"),
    (BRIGHT.replace('"count": count', '"outside": count'), "`outside` is a result", ""), (BRIGHT.replace('"mean"', '"count"'), "two results `count`", ""),
    (body(LOOP.format("n = n * 2")), "line 8: pixels come in no order", ""), (body(LOOP.format("n += open('x')")), "there is no function `open`", ""),
    (body(LOOP.format("n += frame.shape")), "is not of the language", ""), (body(LOOP.format("n += (lambda: 1)()")), "is not of the language", ""),
    (body(LOOP.format("n += [1][0]")), "is not of the language", ""), (body(LOOP.format("n += f'{y}'")), "is not of the language", ""),
    (body(LOOP.format("while True: n += 1")), "is not of the language", ""), (body(LOOP.format("n += __import__('os')")), "there is no function", ""),
    (body(LOOP.format("n += level @ 2")), "is not of the language", ""), (body(LOOP.format("n += 1 if y else frame")), "is no number", ""),
    (body(LOOP.format("n += ghost")), "", "line 8: `ghost` may have no value here"), (body(LOOP.format("n += 1j")), "is not of the language", ""),
    (body(LOOP.format("if y: v = 1\n    n += v")), "", "`v` may have no value here"), (body(LOOP.format("for k in range(1 << 3): n += 1")), "is not of the language", ""),
    (body(LOOP.format("for k in range(100000): n += 1")), "", "may run 100000 times"), (body(LOOP.format("for k in range(100 * int(frame[y, x])): n += 1")), "", "may run"),
    (body(LOOP.format("for k in range(0, 5, 0): n += 1")), "", "not 0"), (body(LOOP.format("for k in range(3000):\n        for j in range(3000): n += j")), "", "operations"),
    (body(LOOP.format("for n in range(3): pass")), "with a name of its own", ""), (body(LOOP.format("n += frame[y]")), "a pixel is `frame[y, x]`", ""),
    (body(LOOP.format("n += frame[y, 0.5]")), "", "rows and columns are whole"), (body(LOOP.format("n += n")), "", "is read after the loop"),
    (body(LOOP.format("sqrt = 1")), "is a word of the language", ""), (body(LOOP.format("a__b = 1")), "is no name here", ""), (body(LOOP.format("é = 1")), "is no name here", ""),
    (body(LOOP.format("n += 2 ** y")), "", "exponent from 0 to 8"), (body(LOOP.format("n += 99999999999999999999")), "is too large", ""),
    (body("n = 0\nreturn {'n': n}"), "goes through its frame", ""), (body("for y, x in pixels(frame):\n    n += 1\nreturn {'n': 1}"), "", "`n` may have no value here"),
    (body("p = image(frame)\nfor y, x in pixels(frame):\n    p[y, x + 1] = 1\nreturn {'p': p}"), "is drawn at the pixel", ""),
    (body("n = 0\np = image(frame)\nfor y, x in pixels(frame):\n    n += 1\nreturn {'p': p}"), "", "nothing is drawn"),
    (body("h = histogram(0)\nfor y, x in pixels(frame):\n    h[0] += 1\nreturn {'h': h}"), "", "from 1 to 65536"),
    (body("h = histogram(3)\nfor y, x in pixels(frame):\n    h[0.5] += 1\nreturn {'h': h}"), "", "is a whole one"),
    (body("h = histogram(3)\nfor y, x in pixels(frame):\n    h[0] += 1\nreturn {'h': h[3]}"), "", "the index may be another"),
    (body("n = 0\nfor y, x in pixels(frame):\n    for v, w in pixels(frame):\n        n += 1\nreturn {'n': n}"), "is not of the language", ""),
    (body(LOOP.format("v = 1")), "", "finds nothing"),
    (body(LOOP.format("n += " + "(" * 60 + "1" + ")" * 60 + " + 1" * 60)), "deep", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "of_reading", "of_bounds"), REFUSED)
def test_what_is_no_kernel(text: str, of_reading: str, of_bounds: str) -> None:
    with pytest.raises(KernelRefused) as refusal:
        user_kernel(text)
    assert str(refusal.value).startswith("line ")
    assert (of_reading or of_bounds) in str(refusal.value)


def test_a_text_that_is_too_long() -> None:
    with pytest.raises(KernelRefused, match="longer than 65536 bytes"):
        user_kernel(BRIGHT + "#" * 70_000)


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=200)
    | st.integers(0, 400).flatmap(lambda n: st.just(EVERYTHING[:n] + EVERYTHING[n + 3 :]))
)
def test_whatever_text_is_refused_or_a_kernel(text: str) -> None:
    try:
        kernel = user_kernel(text)
    except KernelRefused as error:
        said = str(error)
    else:
        said = f"line 0: {kernel.KERNEL.name}"
    assert said.startswith("line ")


@pytest.mark.parametrize(("given", "message"), [
    ({"level": "high"}, "found `high` as `level`"), ({"level": numpy.nan}, "found `nan`"), ({"more": 1}, "has no parameter `more`; it has level"),
    ({"level": True}, "found `True`"),
])  # fmt: skip
def test_parameters_of_a_kernel_that_cannot_be(given: dict[str, object], message: str) -> None:
    with pytest.raises(FramesRefused, match=message):
        user_kernel(BRIGHT).bind((4, 4), numpy.dtype("u2"), **given)
    with pytest.raises(FramesRefused, match="also needs the image `dark`"):
        user_kernel(EVERYTHING).bind((4, 4), numpy.dtype("u2"))


def test_what_is_done_for_a_frame_ends() -> None:
    loops = "for a in range(4000):\n    for b in range(4000):\n        n = max(n, 1)\n"
    text = body(f"n = 0\nm = 0\nfor y, x in pixels(frame):\n    m += 1\n{loops}return {{'n': n}}").replace(
        "dark: Image, ", ""
    )
    with pytest.raises(KernelEnded, match="takes more than 100000 steps"):
        Runner(None).run(user_kernel(text).bind((2, 2), numpy.dtype("u2")), numpy.zeros((1, 2, 2), "u2"))
