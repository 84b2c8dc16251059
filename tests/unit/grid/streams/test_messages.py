"""Messages of detectors: what the formats say, and everything that they do not."""

import math

import cbor2
import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel import chunks
from grid.streams import cbor, dectris, framed
from grid.streams.cbor import Tagged, decode, encode
from grid.streams.errors import MessageRefused
from grid.streams.messages import BSLZ4, LZ4, RAW, End, Image, Payload, Start
from tests.conftest import DATA, SOAK
from tests.unit.grid.streams.sending import SHAPE, image, series, start

FUZZED = 20_000 if SOAK else 1500
"""A share; the whole in the soak."""

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 64), (1 << 64) - 1) | st.floats(allow_nan=False) | st.text() | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5), max_leaves=20,
)  # fmt: skip


def refusal(read, data: bytes) -> str | None:
    """Why a message is refused; None where it is read."""
    try:
        read(data)
    except MessageRefused as error:
        return str(error)
    return None


def plain(value):
    """With byte strings instead of views."""
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, list):
        return [plain(one) for one in value]
    return {name: plain(one) for name, one in value.items()} if isinstance(value, dict) else value


@given(VALUES)
def test_values_are_those_of_another_implementation(value) -> None:
    assert plain(decode(encode(value))) == value
    assert cbor2.loads(encode(value)) == value
    assert plain(decode(cbor2.dumps(value))) == value


@pytest.mark.parametrize(("text", "value"), [
    ("9f0102ff", [1, 2]), ("bf616101ff", {"a": 1}), ("5f4101420203ff", b"\x01\x02\x03"), ("7f6161ff", "a"), ("f93c00", 1.0), ("d9d9f701", 1), ("f7", None),
])  # fmt: skip
def test_forms_that_are_not_written_here(text: str, value) -> None:
    """Source: RFC 8949, appendix A."""
    assert plain(decode(bytes.fromhex(text))) == value


@pytest.mark.parametrize(("text", "said"), [
    ("", "ends after 0 bytes"), ("58ff00", "ends after 3 bytes"), ("5bffffffffffffffff", "ends after 9 bytes"), ("9bffffffffffffffff", "ends after"),
    ("81" * 40, "nested more than 16"), ("a2616101616102", "`a` twice"), ("a18001", "a key of the kind list"), ("61ff", "no UTF-8"), ("1c", "means nothing"),
    ("ff", "a `break`"), ("81ff", "a `break`"), ("0101", "1 bytes follow"), ("f8ff", "the simple value"), ("5f6161ff", "of another kind"), ("3f", "means nothing"),
])  # fmt: skip
def test_nonsense_is_refused(text: str, said: str) -> None:
    with pytest.raises(MessageRefused, match=said):
        decode(bytes.fromhex(text))


def test_millions_of_items_are_not_made() -> None:
    with pytest.raises(MessageRefused, match="more than 100000 items"):
        decode(b"\x9a\x00\x0f\xff\xff" + b"\x00" * 0xFFFFF)


@pytest.mark.parametrize("encoding", [RAW, BSLZ4])
def test_what_is_encoded_is_read_again(encoding: int) -> None:
    mask = numpy.arange(SHAPE[0] * SHAPE[1], dtype=numpy.uint32).reshape(SHAPE)
    for message in (
        start(7, "uint16", pixel_mask=mask),
        image(3, numpy.arange(2880, dtype="u2").reshape(SHAPE), encoding),
        End("s1"),
    ):
        found = dectris.message_of(dectris.encoded(message))
        if isinstance(message, Start):
            assert isinstance(found, Start)
            assert (found.series, found.frames, found.channels, found.shape, found.dtype) == (
                "s1",
                7,
                ("threshold_1",),
                SHAPE,
                numpy.dtype("u2"),
            )
            assert numpy.array_equal(found.images["pixel_mask", "threshold_1"], mask)
            assert found.facts["detector_translation"] == [0.0, 0.0, 0.2]
        else:
            assert found == message
    for message in (start(7), image(3, numpy.arange(2880, dtype="u2").reshape(SHAPE), encoding), End("s1")):
        begun = start(7, "uint16")
        assert framed.message_of([bytes(part) for part in framed.encoded(message)], begun).series == "s1"


def typed(shape=SHAPE, tag: int = 69, data=None, algorithm: str = "", size: int = 2):
    count = (
        shape[0] * shape[1] * 2
        if len(shape) == 2 and all(isinstance(one, int) and 0 <= one < 9999 for one in shape)
        else 0
    )
    elements = bytes(count) if data is None else data
    return Tagged(
        40, [list(shape), Tagged(tag, Tagged(56500, [algorithm, size, elements]) if algorithm else elements)]
    )


@pytest.mark.parametrize(("change", "said"), [
    ({"type": "other"}, "of the type `other`"), ({"image_id": -1}, "`-1` as `image_id`"), ({"image_id": 1 << 40}, "a whole number from 0"),
    ({"image_id": 1.5}, "`1.5` as `image_id`"), ({"series_unique_id": "", "series_id": "x"}, "`x` as `series_id`"), ({"data": {}}, "no `data`"),
    ({"data": {"a": 1}}, "no typed array"), ({"data": {"a": typed((1 << 40, 1))}}, "a side of"), ({"data": {"a": typed((1 << 16, 1 << 16))}}, "pixels"),
    ({"data": {"a": typed((48,))}}, "two dimensions"), ({"data": {"a": typed(data=b"x")}}, "1 bytes of pixels; 5760"), ({"data": {"a": typed(tag=65)}}, "little-endian"),
    ({"data": {"a": typed(tag=71)}}, "pixels of `uint64`"), ({"data": {"a": typed(tag=100)}}, "the tag 100"), ({"data": {"a": typed(algorithm="zip")}}, "neither bytes nor"),
    ({"data": {"a": typed(algorithm="bslz4", size=4)}}, "elements of 4 bytes"), ({"data": {"a": typed(algorithm="bslz4", data=bytes(99_999))}}, "99999 compressed bytes"),
    ({"data": {"a": Tagged(69, bytes(10))}}, "without its dimensions"), ({"data": {str(n): typed() for n in range(17)}}, "1 to 16 channels"),
])  # fmt: skip
def test_images_that_cannot_be(change: dict, said: str) -> None:
    good = {"type": "image", "series_id": 1, "series_unique_id": "s", "image_id": 0, "data": {"a": typed()}}
    assert isinstance(dectris.message_of(encode(good)), Image)
    with pytest.raises(MessageRefused, match=said):
        dectris.message_of(encode(good | change))


@pytest.mark.parametrize(("change", "said"), [
    ({"channels": []}, "found the channels"), ({"channels": ["a", "a"]}, "found the channels"), ({"channels": ["a/b"]}, "found the channels"),
    ({"image_size_x": 0}, "a side of `0`"), ({"image_size_y": "5"}, "a side of `5`"), ({"image_dtype": "complex"}, "pixels of `complex`"),
    ({"number_of_images": -5}, "`-5` as `number_of_images`"), ({"pixel_mask": {"a": typed((4, 4))}}, "has the shape"), ({"pixel_mask": 5}, "no map of channels"),
    ({"pixel_mask": {"a": typed(algorithm="bslz4", data=b"12")}}, "is damaged"),
])  # fmt: skip
def test_beginnings_that_cannot_be(change: dict, said: str) -> None:
    good = {
        "type": "start", "series_id": 1, "series_unique_id": "s", "channels": ["a"], "image_size_x": 60, "image_size_y": 48, "image_dtype": "uint16",
        "number_of_images": 3, "count_time": math.nan,
    }  # fmt: skip
    found = dectris.message_of(encode(good))
    assert isinstance(found, Start)
    assert found.facts["count_time"] is None, "a number that is none is left out"
    with pytest.raises(MessageRefused, match=said):
        dectris.message_of(encode(good | change))


def test_whatever_comes_is_read_or_refused() -> None:
    """Real messages with bytes changed, cut, doubled."""
    import random

    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    known = [dectris.encoded(one) for one in series(2)]
    known += [b"".join(bytes(part) for part in framed.encoded(one)) for one in series(2)]
    for _ in range(FUZZED):
        data = bytearray(chance.choice(known))
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        cut = chance.choice((data, data[: chance.randrange(len(data))], data + data[:7]))
        for read in (dectris.message_of, lambda one: framed.message_of([one[:200], one[200:]], start(2))):
            assert refusal(read, bytes(cut)) != ""


def test_the_captured_series_is_read() -> None:
    if DATA is None:
        pytest.skip("BEAMGRID_TEST_DATA does not name the folder with the captured series")
    paths = sorted((DATA / "dectris-stream-v2/r500k_bm_bslz4_16bit").glob("*.cbor"))
    found = [dectris.message_of(path.read_bytes()) for path in paths]
    assert [one.number for one in found if isinstance(one, Image)] == list(range(10))
    assert isinstance(found[-1], End)
    for one in found[:-1]:
        assert isinstance(one, Image)
        assert list(one.channels) == ["threshold_1", "threshold_2", "difference"]
        assert {(p.shape, p.dtype.name, p.encoding) for p in one.channels.values()} == {
            ((514, 1030), "uint16", BSLZ4)
        }
    assert cbor.MOST_DEPTH == 16


@settings(max_examples=50)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_read(data: bytes) -> None:
    assert refusal(dectris.message_of, data) != ""


def test_only_the_head_of_a_beginning_claims_a_stream() -> None:
    payload = Payload(memoryview(bytes(5760)), SHAPE, numpy.dtype("u2"))
    assert framed.head(framed.encoded(Image("s", 0, {"a": payload}))) == framed.Head("image", "s", number=0)
    assert framed.head(framed.encoded(End("s"))) == framed.Head("end", "s")
    assert framed.head(framed.encoded(start(1), stream=5, token="t")) == framed.Head("start", "s1", 5, "t")
    assert framed.head([encode([1])]) == framed.head([]) == framed.Head("", "")
    with pytest.raises(MessageRefused, match="without the stream and the token"):
        framed.head([encode({"type": "start"})])


@pytest.mark.parametrize("encoding", [RAW, LZ4, BSLZ4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int32", "float32"])
def test_pixels_of_every_type_come_through(dtype: str, encoding: int) -> None:
    pixels = (numpy.arange(2880).reshape(SHAPE) % 251).astype(dtype)
    found = dectris.message_of(dectris.encoded(image(0, pixels, encoding)))
    assert isinstance(found, Image)
    (one,) = found.channels.values()
    decoded = numpy.empty(SHAPE, one.dtype)
    chunks.decode(one.data, dectris.FILTERS[one.encoding], decoded)
    assert (one.dtype, one.shape) == (numpy.dtype(dtype), SHAPE)
    assert numpy.array_equal(decoded, pixels)
