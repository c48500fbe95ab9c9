from hypothesis import given
from hypothesis import strategies as st

from rendezvous_server.protocol import (
    COMPLETE_FRAME,
    PING_FRAME,
    Endpoint,
    Join,
    RejectCode,
    encode_joined,
    encode_peers,
    encode_rejected,
    encode_row,
)
from scripts.bench.rendezvous.group import FrameCounter
from scripts.bench.rendezvous.shapes import local_endpoint

OBSERVED = Endpoint("192.0.2.1", 4711)
ROWS = [encode_row(Join("run", rank, 5000, local=(local_endpoint(rank),)), OBSERVED) for rank in range(5000)]
ROW_BYTES = len(ROWS[0])


def counted(*chunks: bytes) -> FrameCounter:
    counter = FrameCounter(ROW_BYTES)
    for chunk in chunks:
        counter.feed(memoryview(chunk))
    return counter


@given(st.lists(st.integers(1, 60), max_size=200), st.integers(1, 40))
def test_rows_are_counted_however_the_stream_was_cut(cuts: list[int], rows: int):
    stream = encode_joined(OBSERVED, 300, 10) + encode_peers(ROWS[:rows]) + PING_FRAME + COMPLETE_FRAME
    chunks, at = [], 0
    for cut in cuts:
        chunks.append(stream[at : at + cut])
        at += cut
    counter = counted(*chunks, stream[at:])
    assert (counter.frames, counter.rows, counter.complete, counter.objection) == (4, rows, True, "")


def test_a_table_of_several_frames():
    counter = counted(encode_peers(ROWS))
    assert counter.rows == 5000
    assert counter.frames == 2
    assert not counter.complete


def test_rows_of_another_size_are_no_rows():
    assert (
        counted(encode_peers([ROWS[0] + b"\0"])).objection
        == f"a table of {ROW_BYTES + 1} bytes, where a row has {ROW_BYTES}"
    )


def test_the_servers_last_word_is_told():
    assert (
        "type 0x38: \x07the server is full"
        in counted(encode_rejected(RejectCode.LIMIT, "the server is full")).objection
    )
