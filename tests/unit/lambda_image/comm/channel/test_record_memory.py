import numpy as np
import pytest

from lambda_image.comm.channel import record_memory
from lambda_image.comm.channel.frame_reader import FrameReader
from lambda_image.comm.channel.frame_writer import FrameWriter
from lambda_image.comm.channel.frames import RECORD_BYTES, SHORTEST_RECORD_BYTES, TAG_BYTES
from lambda_image.comm.channel.memory import MIDDLE, PAGE
from tests.unit.lambda_image.comm.wire import KEY, read, write


@pytest.fixture(autouse=True)
def emptied() -> None:
    record_memory._free.clear()


def test_memory_is_lent_to_one_at_a_time() -> None:
    one, other = record_memory.borrow(5 * RECORD_BYTES), record_memory.borrow(RECORD_BYTES)
    assert one is not other
    assert len(one) == RECORD_BYTES + TAG_BYTES
    record_memory.give_back(one)
    assert record_memory.borrow(1) is one


def test_records_begin_in_the_middle_of_a_page() -> None:
    for length in (5000, 5 * RECORD_BYTES):
        memory = record_memory.borrow(length)
        assert np.frombuffer(memory, np.uint8).ctypes.data % PAGE == MIDDLE


def test_a_thousand_small_frames_take_no_whole_record_each() -> None:
    memory = record_memory.borrow(10_000)
    assert len(memory) == 10_000 + TAG_BYTES
    record_memory.give_back(memory)
    assert len(record_memory.borrow(SHORTEST_RECORD_BYTES - 1)) < SHORTEST_RECORD_BYTES + TAG_BYTES


def test_what_a_payload_of_a_few_records_took_is_used_again() -> None:
    memory = record_memory.borrow(SHORTEST_RECORD_BYTES)
    record_memory.give_back(memory)
    assert record_memory.borrow(RECORD_BYTES) is memory
    record_memory.give_back(memory)
    assert len(record_memory.borrow(RECORD_BYTES)) == RECORD_BYTES + TAG_BYTES


def test_no_more_is_kept_than_said() -> None:
    for memory in [record_memory.borrow(RECORD_BYTES) for _ in range(record_memory.KEPT + 5)]:
        record_memory.give_back(memory)
    assert len(record_memory._free) == record_memory.KEPT


def test_a_frame_of_many_records_gives_back_what_it_took() -> None:
    read(FrameReader(KEY), write(FrameWriter(KEY), bytes(5 * RECORD_BYTES), bytes(5 * RECORD_BYTES)))
    assert len(record_memory._free) == 1  # the writer's, and then the reader's


def test_an_interruption_while_memory_is_given_back_does_not_lend_it_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    writer, reader, give_back = FrameWriter(KEY), FrameReader(KEY), record_memory.give_back

    def interrupted(memory: memoryview) -> None:
        give_back(memory)
        raise KeyboardInterrupt

    monkeypatch.setattr(record_memory, "give_back", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(writer, bytes(3 * RECORD_BYTES))
    assert writer.idle
    other = FrameWriter(KEY)
    monkeypatch.setattr(record_memory, "give_back", give_back)
    sealed = write(other, bytes(3 * RECORD_BYTES))
    monkeypatch.setattr(record_memory, "give_back", interrupted)
    with pytest.raises(KeyboardInterrupt):
        read(reader, sealed)
    monkeypatch.setattr(record_memory, "give_back", give_back)
    write(writer, b"small")
    read(reader, write(other, b"small"))
    assert len({id(memory) for memory in record_memory._free}) == len(record_memory._free)
