import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.comm.channel.cipher import Cipher
from lambda_image.comm.channel.frame_reader import STAGING_BYTES, FrameReader, plain_bytes
from lambda_image.comm.channel.frame_writer import FrameWriter
from lambda_image.comm.channel.frames import (
    HEADER,
    HEADER_BYTES,
    MAX_META,
    RECORD_BYTES,
    SHORTEST_RECORD_BYTES,
    TAG_BYTES,
    WHOLE_BYTES,
    Frame,
    FrameRefused,
    Header,
)
from tests.unit.lambda_image.comm.wire import KEY, read, write


@pytest.mark.parametrize("key", [KEY, None], ids=["encrypted", "bare"])
@pytest.mark.parametrize(
    "size", [0, 1, WHOLE_BYTES - 1, WHOLE_BYTES, STAGING_BYTES, RECORD_BYTES, RECORD_BYTES + 1, 3 * RECORD_BYTES]
)
def test_payloads_of_any_size_arrive(key: bytes | None, size: int) -> None:
    payload = random.Random(size).randbytes(size)
    reader = FrameReader(key)
    assert read(reader, write(FrameWriter(key), payload, b"after", meta=b"m")) == [payload, b"after"]
    header = reader.frames[0].header
    assert (header.operation, header.kind, header.flags, header.length) == (0, 7, 1, size)
    assert reader.frames[0].meta == b"m"
    assert not reader.mid_frame


MANY_SIZES = st.one_of(st.integers(WHOLE_BYTES - 50, WHOLE_BYTES + 50), st.integers(0, 3 * WHOLE_BYTES))


@given(
    payloads=st.lists(st.one_of(st.binary(max_size=300), MANY_SIZES.map(bytes)), max_size=6),
    meta=st.binary(max_size=40),
    steps=st.integers(1, 500).map(lambda step: step * step),
    sizes=st.lists(st.integers(1, 200).map(lambda size: size * size), max_size=40),
    key=st.sampled_from([KEY, None]),
)
def test_how_the_bytes_are_cut_changes_nothing(
    payloads: list[bytes], meta: bytes, steps: int, sizes: list[int], key: bytes | None
) -> None:
    wire = write(FrameWriter(key), *payloads, meta=meta, step=steps)
    reader = FrameReader(key)
    assert read(reader, wire, sizes) == payloads
    assert all(frame.meta == meta for frame in reader.frames)


@given(
    payloads=st.lists(st.one_of(st.binary(max_size=300), MANY_SIZES.map(bytes)), max_size=6),
    meta=st.binary(max_size=40),
    sizes=st.lists(st.integers(1, 70).map(lambda size: size * size), max_size=40),
    key=st.sampled_from([KEY, None]),
)
def test_bytes_may_come_from_elsewhere_than_the_buffer(
    payloads: list[bytes], meta: bytes, sizes: list[int], key: bytes | None
) -> None:
    writer, reader, pieces = FrameWriter(key), FrameReader(key), iter(sizes)
    for payload in payloads:
        wire = write(writer, payload, meta=meta)
        while wire:
            size = min(next(pieces, STAGING_BYTES), len(reader.buffer()))
            reader.feed(wire[:size])
            wire = wire[size:]
    assert [bytes(frame.value) for frame in reader.frames] == payloads
    assert all(frame.meta == meta for frame in reader.frames)
    assert not reader.mid_frame


@pytest.mark.parametrize("key", [KEY, None], ids=["encrypted", "bare"])
def test_a_small_frame_that_is_not_allowed_is_refused_however_it_comes(key: bytes | None) -> None:
    for header, length in ((HEADER.pack(0, 0, 0, MAX_META + 1, 0), MAX_META + 1), (HEADER.pack(0, 0, 0, 0, 100), 100)):
        data = header + bytes(length) if key is None else header + Cipher(key).seal(bytes(length), header)
        with pytest.raises(
            FrameRefused, match=r"bytes of meta; at most|a frame of 100 bytes; this end takes at most 99"
        ):
            FrameReader(key, max_payload=99).feed(data)


@pytest.mark.parametrize("size", [1000, RECORD_BYTES, RECORD_BYTES + TAG_BYTES, RECORD_BYTES + 4000, 2 * RECORD_BYTES])
def test_where_records_are_cut_changes_nothing(size: int) -> None:
    payloads = [random.Random(0).randbytes(3 * RECORD_BYTES + 5), b"", random.Random(1).randbytes(RECORD_BYTES)]
    assert read(FrameReader(KEY), write(FrameWriter(KEY), *payloads, step=size), [size] * 10_000) == payloads


def test_a_payload_arrives_in_the_allocated_buffer() -> None:
    room = bytearray(2 * STAGING_BYTES)
    wire = write(FrameWriter(None), bytes(len(room)))
    reader = FrameReader(None, allocate=lambda header, meta: (room, memoryview(room)))
    read(reader, wire[:HEADER_BYTES])
    assert reader.buffer().obj is room


def flip(wire: bytes, index: int) -> bytes:
    return wire[:index] + bytes((wire[index] ^ 1,)) + wire[index + 1 :]


@pytest.mark.parametrize("index", range(HEADER_BYTES + 8 + TAG_BYTES))
def test_a_flipped_bit_is_refused_and_gives_out_nothing(index: int) -> None:
    reader = FrameReader(KEY)
    with pytest.raises(FrameRefused):
        read(
            reader, flip(write(FrameWriter(KEY), b"8 bytes!", bytes(WHOLE_BYTES)), index)
        )  # a length may grow by so much
    assert not reader.frames


def test_a_replayed_frame_is_refused() -> None:
    wire = write(FrameWriter(KEY), b"once")
    reader = FrameReader(KEY)
    assert read(reader, wire) == [b"once"]
    with pytest.raises(FrameRefused, match="record does not match its tag"):
        read(reader, wire)


def test_reordered_and_omitted_frames_are_refused() -> None:
    writer = FrameWriter(KEY)
    first, second = write(writer, b"first"), write(writer, b"second")
    with pytest.raises(FrameRefused):
        read(FrameReader(KEY), second + first)
    with pytest.raises(FrameRefused):
        read(FrameReader(KEY), second)


def test_another_sessions_frame_is_refused() -> None:
    with pytest.raises(FrameRefused):
        read(FrameReader(b"j" * 16), write(FrameWriter(KEY), b"foreign"))


LARGE = bytes(range(256)) * (2 * SHORTEST_RECORD_BYTES // 256 + 1)  # three records, the last of 256 bytes
HEAD = HEADER_BYTES + TAG_BYTES  # of such a frame
RECORD = SHORTEST_RECORD_BYTES + TAG_BYTES


@pytest.mark.parametrize("at", [0, 15, 20, HEAD, HEAD + RECORD - 1, HEAD + RECORD, HEAD + 2 * RECORD, -1])
def test_no_byte_of_a_record_that_was_changed_is_left_in_the_callers_memory(at: int) -> None:
    room = bytearray(len(LARGE))
    reader = FrameReader(KEY, allocate=lambda header, meta: (room, memoryview(room)))
    wire = write(FrameWriter(KEY), LARGE)
    with pytest.raises(FrameRefused):
        read(reader, flip(wire, at % len(wire)))
    verified = max(0, (at % len(wire) - HEAD) // RECORD) * SHORTEST_RECORD_BYTES
    assert room == LARGE[:verified] + bytes(len(LARGE) - verified)
    assert not reader.frames


def test_a_payload_under_anothers_header_is_refused() -> None:
    one, other = write(FrameWriter(KEY), LARGE), write(FrameWriter(b"j" * 16), LARGE)
    with pytest.raises(FrameRefused, match="record does not match its tag"):
        read(FrameReader(KEY), one[:HEAD] + other[HEAD:])
    small, other = write(FrameWriter(KEY), b"AAAA"), write(FrameWriter(b"j" * 16), b"BBBB")
    with pytest.raises(FrameRefused, match="record does not match its tag"):
        read(FrameReader(KEY), small[:HEADER_BYTES] + other[HEADER_BYTES:])


def test_records_of_one_frame_that_change_places_are_refused() -> None:
    wire = write(FrameWriter(KEY), LARGE)
    first, second = wire[HEAD : HEAD + RECORD], wire[HEAD + RECORD : HEAD + 2 * RECORD]
    for changed in (second + first, first + first, second):
        with pytest.raises(FrameRefused):
            read(FrameReader(KEY), wire[:HEAD] + changed + wire[HEAD + 2 * RECORD :])


def test_a_length_is_believed_once_it_is_verified() -> None:
    """Bytes of a stranger take no memory, whatever length they claim."""

    def allocate(header: Header, meta: bytes) -> tuple[object, memoryview]:
        raise AssertionError("memory for a header that nobody has signed")

    claimed = HEADER.pack(1, 2, 0, 0, 1 << 29)
    with pytest.raises(FrameRefused, match="record does not match its tag"):
        read(FrameReader(KEY, allocate=allocate), claimed + bytes(TAG_BYTES))


@pytest.mark.parametrize("key", [KEY, None], ids=["encrypted", "bare"])
def test_an_oversize_frame_is_refused_before_memory_is_taken(key: bytes | None) -> None:
    def allocate(header: Header, meta: bytes) -> tuple[object, memoryview]:
        assert header.length <= 100
        return plain_bytes(header, meta)

    reader = FrameReader(key, allocate=allocate, max_payload=100)
    writer = FrameWriter(key)
    assert read(reader, write(writer, bytes(100))) == [bytes(100)]
    with pytest.raises(FrameRefused, match="101 bytes; this end takes at most 100"):
        read(reader, write(writer, bytes(101)))
    reader = FrameReader(key, allocate=allocate, max_payload=100)
    wire = write(FrameWriter(key), bytes(10 * WHOLE_BYTES))
    with pytest.raises(FrameRefused, match="40640 bytes; this end takes at most 100"):
        read(reader, wire[: HEADER_BYTES + (TAG_BYTES if key else 0)])  # nor does it wait for the payload


def test_meta_is_limited() -> None:
    head = bytes(6) + (MAX_META + 1).to_bytes(2, "big") + bytes(8)
    with pytest.raises(FrameRefused, match="meta"):
        read(FrameReader(None), head)


def test_frames_are_handed_out_in_order() -> None:
    reader = FrameReader(None)
    read(reader, write(FrameWriter(None), b"a", b"b"))
    taken: list[Frame] = [reader.frames.popleft(), reader.frames.popleft()]
    assert [frame.header.operation for frame in taken] == [0, 1]
