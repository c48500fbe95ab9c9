import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_image.comm.channel.frame_reader import STAGING_BYTES, FrameReader, plain_bytes
from lambda_image.comm.channel.frame_writer import SEAL_CHUNK, FrameWriter
from lambda_image.comm.channel.frames import HEADER_BYTES, MAX_META, TAG_BYTES, Frame, FrameRefused, Header
from tests.unit.lambda_image.comm.wire import KEY, read, write


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


def test_a_payload_arrives_in_the_allocated_buffer() -> None:
    room = bytearray(2 * STAGING_BYTES)
    wire = write(FrameWriter(None), bytes(len(room)))
    reader = FrameReader(None, allocate=lambda header, meta: (room, memoryview(room)))
    read(reader, wire[:HEADER_BYTES])
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


def test_meta_is_limited() -> None:
    head = bytes(6) + (MAX_META + 1).to_bytes(2, "big") + bytes(8)
    with pytest.raises(FrameRefused, match="meta"):
        read(FrameReader(None), head)


def test_frames_are_handed_out_in_order() -> None:
    reader = FrameReader(None)
    read(reader, write(FrameWriter(None), b"a", b"b"))
    taken: list[Frame] = [reader.frames.popleft(), reader.frames.popleft()]
    assert [frame.header.operation for frame in taken] == [0, 1]
