import pytest

from lambda_image.comm.channel.frame_writer import SEAL_CHUNK, FrameWriter
from lambda_image.comm.channel.frames import HEADER_BYTES, MAX_META
from tests.unit.lambda_image.comm.wire import KEY


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


def test_a_large_payload_goes_out_as_views_of_the_callers_buffer_hashed_piece_by_piece() -> None:
    payload = bytearray(3 * SEAL_CHUNK)
    for key, offered in ((None, len(payload)), (KEY, SEAL_CHUNK)):
        writer = FrameWriter(key)
        writer.push(0, 0, 0, b"", [memoryview(payload)])
        views = [view for view in writer.buffers() if isinstance(view, memoryview)]
        assert [view.obj is payload for view in views] == [True]
        assert sum(map(len, views)) == offered
