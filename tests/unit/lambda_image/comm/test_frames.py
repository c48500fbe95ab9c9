"""Frames from a writer to a reader over a wire of our own, cut wherever we like."""

import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_image.comm.frames import (
    MAX_META,
    SEAL_CHUNK,
    STAGING_BYTES,
    TAG_BYTES,
    Frame,
    FrameReader,
    FrameRefused,
    FrameWriter,
    Header,
    plain_bytes,
)

KEY = b"k" * 32
HEADER_BYTES = 16


def write(writer: FrameWriter, *payloads: bytes, meta: bytes = b"", step: int = 1 << 30) -> bytes:
    """The bytes of these payloads' frames, taken from the writer `step` at a time."""
    for number, payload in enumerate(payloads):
        writer.push(number, 7, 1, meta, [memoryview(payload)])
    wire = b""
    while views := writer.buffers():
        piece = b"".join(views)[:step]
        writer.sent(len(piece))
        wire += piece
    assert writer.idle
    return wire


def read(reader: FrameReader, wire: bytes, sizes: Iterable[int] = ()) -> list[bytes]:
    """Feed the wire in pieces of these sizes, then the rest; the payloads that came out so far."""
    at, pieces = 0, iter(sizes)
    while at < len(wire):
        size, count = next(pieces, len(wire)), 0
        for view in reader.buffers():
            part = wire[at + count : at + min(size, count + len(view))]
            view[: len(part)] = part
            count += len(part)
        reader.received(count)
        at += count
    return [bytes(frame.value) for frame in reader.frames if isinstance(frame.value, bytearray)]


@pytest.mark.parametrize("key", [KEY, None], ids=["tags", "bare"])
@pytest.mark.parametrize("size", [0, 1, STAGING_BYTES - 1, STAGING_BYTES, 3 * SEAL_CHUNK + 5])
def test_payloads_of_any_size_arrive(key: bytes | None, size: int) -> None:
    payload = random.Random(size).randbytes(size)
    reader = FrameReader(key)
    assert read(reader, write(FrameWriter(key), payload, b"after", meta=b"m")) == [payload, b"after"]
    header = reader.frames[0].header
    assert (header.operation, header.kind, header.flags, header.length) == (0, 7, 1, size)
    assert reader.frames[0].meta == b"m"
    assert not reader.mid_frame


@given(
    payloads=st.lists(st.binary(max_size=300), max_size=6),
    meta=st.binary(max_size=40),
    steps=st.integers(1, 500),
    sizes=st.lists(st.integers(1, 200), max_size=40),
    key=st.sampled_from([KEY, None]),
)
@settings(max_examples=200, deadline=None)
def test_how_the_bytes_are_cut_changes_nothing(
    payloads: list[bytes], meta: bytes, steps: int, sizes: list[int], key: bytes | None
) -> None:
    wire = write(FrameWriter(key), *payloads, meta=meta, step=steps)
    reader = FrameReader(key)
    assert read(reader, wire, sizes) == payloads
    assert all(frame.meta == meta for frame in reader.frames)


def test_a_payload_goes_out_as_views_of_the_callers_buffer_and_arrives_in_the_allocated_one() -> None:
    payload, room = bytearray(2 * STAGING_BYTES), bytearray(2 * STAGING_BYTES)
    writer = FrameWriter(None)
    writer.push(0, 0, 0, b"", [memoryview(payload)])
    assert any(isinstance(view, memoryview) and view.obj is payload for view in writer.buffers())
    reader = FrameReader(None, allocate=lambda header, meta: (room, memoryview(room)))
    head = b"".join(writer.buffers())[:HEADER_BYTES]
    read(reader, head)
    assert reader.buffers()[0].obj is room


def flip(wire: bytes, index: int) -> bytes:
    return wire[:index] + bytes((wire[index] ^ 1,)) + wire[index + 1 :]


@pytest.mark.parametrize("index", range(0, HEADER_BYTES + TAG_BYTES + 8 + TAG_BYTES, 3))
def test_a_flipped_bit_is_refused_and_gives_out_nothing(index: int) -> None:
    reader = FrameReader(KEY)
    with pytest.raises(FrameRefused):
        read(reader, flip(write(FrameWriter(KEY), b"8 bytes!"), index))
    assert not reader.frames


def test_a_replayed_frame_is_refused() -> None:
    wire = write(FrameWriter(KEY), b"once")
    reader = FrameReader(KEY)
    assert read(reader, wire) == [b"once"]
    with pytest.raises(FrameRefused, match="header does not match its tag"):
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
        read(FrameReader(b"j" * 32), write(FrameWriter(KEY), b"foreign"))


def test_a_payload_under_anothers_header_is_refused() -> None:
    one, other = write(FrameWriter(KEY), b"AAAA"), write(FrameWriter(b"j" * 32), b"BBBB")
    with pytest.raises(FrameRefused, match="payload does not match"):
        read(FrameReader(KEY), one[: HEADER_BYTES + TAG_BYTES] + other[HEADER_BYTES + TAG_BYTES :])


@pytest.mark.parametrize("key", [KEY, None], ids=["tags", "bare"])
def test_an_oversize_frame_is_refused_before_memory_is_taken(key: bytes | None) -> None:
    def allocate(header: Header, meta: bytes) -> tuple[object, memoryview]:
        assert header.length <= 100
        return plain_bytes(header, meta)

    reader = FrameReader(key, allocate=allocate, max_payload=100)
    writer = FrameWriter(key)
    assert read(reader, write(writer, bytes(100))) == [bytes(100)]
    wire = write(writer, bytes(101))
    with pytest.raises(FrameRefused, match="101 bytes; this end takes at most 100"):
        read(reader, wire[: HEADER_BYTES + (TAG_BYTES if key else 0)])


def test_meta_is_limited_at_both_ends() -> None:
    with pytest.raises(ValueError, match=f"at most {MAX_META}"):
        FrameWriter(None).push(0, 0, 0, bytes(MAX_META + 1), [])
    head = bytes(6) + (MAX_META + 1).to_bytes(2, "big") + bytes(8)
    with pytest.raises(FrameRefused, match="meta"):
        read(FrameReader(None), head)


def test_what_has_not_begun_can_be_taken_back() -> None:
    writer = FrameWriter(KEY)
    writer.push(0, 0, 0, b"", [memoryview(b"first")])
    writer.buffers()
    writer.sent(3)
    assert writer.mid_frame
    writer.push(1, 0, 0, b"", [memoryview(b"second")])
    writer.drop_unbegun()  # the first has begun: nothing is dropped
    assert read(FrameReader(None), b"") == []
    assert writer.pushed == 2
    writer.sent(sum(map(len, writer.buffers())))
    assert (writer.completed, writer.mid_frame) == (1, False)
    writer.drop_unbegun()
    assert writer.idle
    assert writer.buffers() == []


def test_tickets_count_frames_that_are_with_the_kernel() -> None:
    writer = FrameWriter(None)
    tickets = [writer.push(0, 0, 0, b"", [memoryview(b"x" * size)]) for size in (0, 5)]
    assert tickets == [1, 2]
    assert len(writer.buffers()[0]) == HEADER_BYTES
    writer.sent(HEADER_BYTES)
    assert writer.completed == 1
    writer.sent(sum(map(len, writer.buffers())) - 1)
    assert writer.completed == 1
    writer.sent(1)
    assert writer.completed == 2


def test_frames_are_handed_out_in_order() -> None:
    reader = FrameReader(None)
    read(reader, write(FrameWriter(None), b"a", b"b"))
    taken: list[Frame] = [reader.frames.popleft(), reader.frames.popleft()]
    assert [frame.header.operation for frame in taken] == [0, 1]
