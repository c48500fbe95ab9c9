import threading
import time

import numpy as np
import pytest

from lambda_image.comm.channel.channel import ChannelSettings, OutBuffer
from lambda_image.comm.channel.frames import HEADER
from lambda_image.comm.channel.memory import Memory
from tests.channels import receive, send
from tests.unit.lambda_image.comm.local_group import LARGE, MakePair, Soon, finish


@pytest.mark.parametrize("encrypted", [True, False], ids=["encrypted", "bare"])
def test_values_travel_both_ways(make_pair: MakePair, soon: Soon, encrypted: bool) -> None:
    pair = make_pair(encrypted=encrypted)
    send(pair.higher, b"up", soon())
    send(pair.lower, np.arange(3), soon())
    assert receive(pair.lower, soon()) == b"up"
    assert np.array_equal(receive(pair.higher, soon()), np.arange(3))
    assert pair.lower.encrypted == encrypted
    assert pair.lower.bytes_received == pair.higher.bytes_sent > 2


def test_a_large_value_goes_through_small_buffers(make_pair: MakePair, soon: Soon) -> None:
    pair, array = make_pair(), np.random.default_rng(0).integers(0, 255, LARGE, np.uint8)
    sender = threading.Thread(target=lambda: send(pair.higher, array, soon()))
    sender.start()
    received = receive(pair.lower, soon())
    sender.join()
    assert np.array_equal(received, array)


def test_nothing_is_awaited_for_long(make_pair: MakePair) -> None:
    """Neither a peer that is silent, nor one that stops in a frame or takes nothing."""
    pair = make_pair()
    began = time.monotonic()
    assert not pair.lower.await_in()
    pair.higher.push(1, 1, 0, bytes(LARGE))
    while pair.higher.await_out():
        pass
    assert pair.higher.sending
    while pair.lower.await_in():
        pass
    assert not pair.lower.frames
    assert pair.lower.ended is pair.higher.ended is None
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("encrypted", [True, False], ids=["encrypted", "bare"])
def test_values_of_any_size_are_awaited(make_pair: MakePair, encrypted: bool) -> None:
    pair = make_pair(encrypted=encrypted)
    for size in (0, 10, 5000, LARGE):
        value = np.random.default_rng(size).integers(0, 255, size, np.uint8)
        pair.higher.push(1, 1, 0, value)
        sender = threading.Thread(target=finish, args=(pair.higher,))
        sender.start()
        while not pair.lower.frames:
            pair.lower.await_in()
            assert pair.lower.ended is None
        sender.join()
        assert np.array_equal(pair.lower.frames.popleft().value, value)


def test_a_peer_that_sends_byte_by_byte_is_not_awaited_for_each(make_pair: MakePair) -> None:
    """Whoever waits goes on with the other peers, and looks at the deadline."""
    pair = make_pair()
    for byte in HEADER.pack(1, 1, 0, 0, 100)[:10]:
        pair.sockets[1].send(bytes((byte,)))
        assert not pair.lower.await_in()


def test_the_end_of_the_connection_ends_the_wait(make_pair: MakePair) -> None:
    pair = make_pair()
    pair.higher.close()
    assert not pair.lower.await_in()
    assert pair.lower.ended == "closed the connection"
    assert not pair.lower.await_in()


def test_a_frame_that_is_given_up_ends_the_channel_if_part_of_it_has_gone(make_pair: MakePair, soon: Soon) -> None:
    pair = make_pair()
    pair.higher.post(0, 0, 0, bytes(LARGE))
    pair.higher.push(0, 0, 0, b"next")
    pair.higher.give_up_sending("was given up")
    assert pair.higher.ended == "was given up"
    with pytest.raises(ConnectionError, match="middle of a frame"):
        receive(pair.lower, soon())


@pytest.mark.parametrize("encrypted", [True, False], ids=["encrypted", "bare"])
def test_a_channel_that_has_ended_keeps_no_value(make_pair: MakePair, encrypted: bool) -> None:
    channel, begun, queued, late = make_pair(encrypted=encrypted).higher, bytearray(LARGE), bytearray(5), bytearray(5)
    tickets = [channel.post(0, 0, 0, begun), channel.push(0, 0, 0, queued)]
    channel.end("ended")
    tickets.append(channel.push(0, 0, 0, late))
    channel.give_up_sending("was given up")
    for value in (begun, queued, late):
        value.append(0)  # BufferError, if there is a view of it
    assert channel.ended == "ended"
    assert not any(channel.gone(ticket) for ticket in tickets)


def test_what_came_before_the_end_is_still_received(make_pair: MakePair, soon: Soon) -> None:
    pair = make_pair()
    send(pair.higher, b"last words", soon())
    pair.higher.close()
    assert receive(pair.lower, soon()) == b"last words"
    with pytest.raises(ConnectionError, match=r"^closed the connection$"):
        receive(pair.lower, soon())


def test_sending_to_one_who_has_gone_is_an_error(make_pair: MakePair, soon: Soon) -> None:
    pair = make_pair()
    pair.lower.close()
    with pytest.raises(ConnectionError, match=r"^closed the connection"):
        send(pair.higher, bytes(LARGE), soon())


def test_foreign_bytes_end_the_channel_and_are_told_apart(make_pair: MakePair, soon: Soon) -> None:
    pair = make_pair()
    pair.sockets[1].send(b"x" * 100)
    with pytest.raises(ConnectionError, match="bytes that cannot be trusted"):
        receive(pair.lower, soon())
    assert pair.lower.refused


def test_a_frame_above_the_limit_is_not_taken(make_pair: MakePair, soon: Soon) -> None:
    pair = make_pair(settings=ChannelSettings(max_payload=1000))
    send(pair.higher, bytes(1001), soon())
    with pytest.raises(ConnectionError, match="1001 bytes; this end takes at most 1000"):
        receive(pair.lower, soon())


def test_a_value_for_which_there_is_no_memory_ends_the_channel(make_pair: MakePair, soon: Soon) -> None:
    """Its head has been read, so that what follows would be taken for the head of another."""

    class NoMemory(Memory):
        def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
            raise MemoryError

    pair = make_pair(memory=NoMemory())
    pair.higher.push(1, 2, 0, np.zeros(LARGE, np.uint8))
    pair.higher.pump_out()
    with pytest.raises(MemoryError):
        receive(pair.lower, soon())
    assert pair.lower.ended == "was given up, because receiving was interrupted (MemoryError)"
    assert not pair.lower.refused


def test_close_lets_the_peer_read_everything_though_something_was_unread_here(make_pair: MakePair, soon: Soon) -> None:
    pair = make_pair()
    send(pair.lower, b"never read", soon())
    send(pair.higher, b"sent", soon())
    pair.higher.close()
    assert receive(pair.lower, soon()) == b"sent"
    pair.higher.close()  # again: nothing happens


def test_values_go_into_rooms_in_order_if_they_suit(make_pair: MakePair, soon: Soon) -> None:
    pair = make_pair()
    out_buffers = [np.zeros(3), None, np.zeros(3), bytearray(4)]
    pair.lower.post_out_buffers(0, 0, [None if room is None else OutBuffer.of(room) for room in out_buffers])
    for value in (np.arange(3.0), np.arange(3.0) + 10, np.arange(4.0), b"four"):
        send(pair.higher, value, soon())  # all are there before the first is taken
    first, second, third, fourth = (receive(pair.lower, soon()) for _ in range(4))
    assert first is out_buffers[0]
    assert isinstance(first, np.ndarray)
    assert first.tolist() == [0, 1, 2]
    assert second.tolist() == [10, 11, 12]  # type: ignore[union-attr]
    assert third is not out_buffers[2]  # four items do not suit
    assert fourth is out_buffers[3] == b"four"


def test_rooms_are_for_one_operation_and_not_for_what_came_before(make_pair: MakePair, soon: Soon) -> None:
    pair = make_pair()
    for operation, value in ((6, 1.0), (7, 2.0), (7, 3.0)):
        pair.higher.push(operation, 1, 0, np.full(2, value))
    pair.higher.pump_out()
    pair.lower.pump_in()  # all three have found their places by now
    room = np.zeros(2)
    pair.lower.post_out_buffers(7, 1, [None, None, OutBuffer.of(room)])
    pair.higher.push(7, 1, 0, np.full(2, 4.0))
    pair.higher.pump_out()
    values = [receive(pair.lower, soon()) for _ in range(4)]
    assert [value[0] for value in values] == [1, 2, 3, 4]  # type: ignore[index]
    assert values[3] is room


@pytest.mark.parametrize("encrypted", [True, False], ids=["encrypted", "bare"])
def test_a_room_that_is_taken_back_half_filled_is_written_no_more(
    make_pair: MakePair, soon: Soon, encrypted: bool
) -> None:
    pair, array = make_pair(encrypted=encrypted), np.random.default_rng(0).integers(0, 255, LARGE, np.uint8)
    room = np.zeros(LARGE, np.uint8)
    pair.lower.post_out_buffers(0, 0, [OutBuffer.of(room)])
    pair.higher.push(0, 0, 0, array)
    while not room.any():
        pair.higher.pump_out()
        pair.lower.pump_in()
    pair.lower.withdraw_out_buffers()
    room[:] = 0
    sender = threading.Thread(target=lambda: send(pair.higher, b"next", soon()))
    sender.start()
    assert np.array_equal(receive(pair.lower, soon()), array)  # type: ignore[arg-type]
    assert not room.any()
    assert receive(pair.lower, soon()) == b"next"
    sender.join()
