import pytest

from lambda_image.comm.channel.frame_reader import FrameReader
from lambda_image.comm.channel.frame_writer import FrameWriter
from lambda_image.comm.channel.frames import HEADER_BYTES, MAX_META, RECORD_BYTES, TAG_BYTES, WHOLE_BYTES
from tests.unit.lambda_image.comm.wire import KEY, read


def test_what_has_not_begun_can_be_taken_back() -> None:
    writer = FrameWriter(KEY)
    writer.push(0, 0, 0, b"", [memoryview(b"first")])
    writer.buffers()
    writer.sent(3)
    assert writer.mid_frame
    writer.push(1, 0, 0, b"", [memoryview(b"second")])
    writer.drop_unbegun()  # the first has begun: nothing is dropped
    assert writer.pushed == 2
    writer.sent(sum(map(len, writer.buffers())))
    assert (writer.completed, writer.mid_frame) == (1, False)
    writer.drop_unbegun()
    assert writer.idle
    assert writer.buffers() == []


@pytest.mark.parametrize("key", [KEY, None], ids=["encrypted", "bare"])
def test_a_small_frame_in_fewer_steps_is_the_same_frame(key: bytes | None) -> None:
    one, other = FrameWriter(key), FrameWriter(key)
    for payload in ([], [memoryview(b"x")], [memoryview(bytes(WHOLE_BYTES - 4))]):
        one.push(5, 3, 1, b"meta", payload)
        data = other.push_whole(5, 3, 1, b"meta", payload)
        assert data == b"".join(one.buffers())
        assert other.mid_frame
        assert other.push_whole(6, 3, 1, b"", []) == b""  # while another frame is under way
        one.sent(len(data))
        other.sent_whole()
        assert (other.completed, other.pushed, other.mid_frame) == (one.completed, one.pushed, one.mid_frame)
    assert other.push_whole(5, 3, 1, b"meta", [memoryview(bytes(WHOLE_BYTES - 3))]) == b""
    data = other.push_whole(5, 3, 1, b"", [])
    assert not other.sent(3)
    assert b"".join(other.buffers()) == data[3:]


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


def test_meta_is_limited() -> None:
    with pytest.raises(ValueError, match=f"at most {MAX_META}"):
        FrameWriter(None).push(0, 0, 0, bytes(MAX_META + 1), [])


def test_a_large_payload_goes_out_as_a_view_of_the_callers_buffer_or_record_by_record() -> None:
    payload = bytearray(5 * RECORD_BYTES)
    bare, encrypted = FrameWriter(None), FrameWriter(KEY)
    for writer in (bare, encrypted):
        writer.push(0, 0, 0, b"", [memoryview(payload)])
    view = bare.buffers()[1]
    assert isinstance(view, memoryview)
    assert view.obj is payload
    head, record = encrypted.buffers()
    assert (len(head), len(record)) == (HEADER_BYTES + TAG_BYTES, RECORD_BYTES + TAG_BYTES)


def test_records_of_one_frame_and_of_the_next_take_the_same_memory() -> None:
    writer, places = FrameWriter(KEY), set()
    for _ in range(3):
        writer.push(0, 0, 0, b"", [memoryview(bytes(3 * RECORD_BYTES))])
        while views := writer.buffers():
            places.update(id(view.obj) for view in views if isinstance(view, memoryview))
            writer.sent(sum(map(len, views)))
    assert len(places) == 1


def test_a_payload_of_several_views_goes_out_as_one() -> None:
    pieces = [bytes((number,)) * RECORD_BYTES for number in range(3)]
    for key in (KEY, None):
        writer, wire = FrameWriter(key), b""
        writer.push(0, 0, 0, b"m", [memoryview(piece[1:]) for piece in pieces])
        while views := writer.buffers():
            wire += b"".join(views)
            writer.sent(sum(map(len, views)))
        assert read(FrameReader(key), wire) == [b"".join(piece[1:] for piece in pieces)]


@pytest.mark.parametrize("key", [KEY, None], ids=["encrypted", "bare"])
@pytest.mark.parametrize("size", [100, 3 * RECORD_BYTES + 1])
def test_nothing_is_kept_of_a_value_that_has_gone(key: bytes | None, size: int) -> None:
    writer, value = FrameWriter(key), bytearray(size)
    writer.push(0, 0, 0, b"", [memoryview(value)])
    while views := writer.buffers():
        writer.sent(sum(map(len, views)))
    del views
    value.append(0)  # BufferError, if there is a view of it


@pytest.mark.parametrize("key", [None, KEY], ids=["bare", "encrypted"])
def test_a_channel_may_end_while_the_kernel_takes_what_it_sends(key: bytes | None) -> None:
    writer = FrameWriter(key)
    writer.push(0, 0, 0, b"", [memoryview(bytes(10))])
    count = sum(map(len, writer.buffers()))
    writer.release()
    writer.sent(count)
    assert writer.buffers() == []
