import threading
import time

import numpy as np
import pytest

from lambda_image.comm.channel import ChannelSettings, Room
from lambda_image.comm.handshake import Member
from lambda_image.errors import PeerClosed, PeerTimeout
from tests.unit.lambda_image.comm.local_group import MakePair, Soon

LARGE = 8 << 20  # more than socket buffers hold: the sender has to wait for the receiver


@pytest.mark.parametrize("tags", [True, False], ids=["tags", "bare"])
def test_values_travel_both_ways(make_pair: MakePair, soon: Soon, tags: bool) -> None:
    pair = make_pair(tags=tags)
    pair.higher.send(b"up", deadline=soon())
    pair.lower.send(np.arange(3), deadline=soon())
    assert pair.lower.receive(deadline=soon()) == b"up"
    assert np.array_equal(pair.higher.receive(deadline=soon()), np.arange(3))
    assert pair.lower.tags == tags
    assert pair.lower.bytes_received == pair.higher.bytes_sent > 2


def test_a_large_value_goes_through_small_buffers(make_pair: MakePair, soon: Soon) -> None:
    pair, array = make_pair(), np.random.default_rng(0).integers(0, 255, LARGE, np.uint8)
    sender = threading.Thread(target=lambda: pair.higher.send(array, deadline=soon()))
    sender.start()
    received = pair.lower.receive(deadline=soon())
    sender.join()
    assert np.array_equal(received, array)


def test_no_answer_by_the_deadline_names_rank_peer_phase_and_time(make_pair: MakePair) -> None:
    with pytest.raises(PeerTimeout, match=r"rank 0, probe: rank 1 did not answer by the deadline \(0\.0 s") as caught:
        make_pair().lower.receive(deadline=time.monotonic(), phase="probe")
    details = caught.value.details
    assert (details["rank"], details["peer"], details["phase"]) == (0, 1, "probe")
    assert details["elapsed_s"] < 5


def test_a_frame_that_nobody_takes_ends_the_channel_if_part_of_it_has_gone(make_pair: MakePair, soon: Soon) -> None:
    pair = make_pair()
    with pytest.raises(PeerTimeout):
        pair.higher.send(bytes(LARGE), deadline=time.monotonic())
    assert pair.higher.ended is not None
    with pytest.raises(PeerClosed, match="middle of a frame"):
        pair.lower.receive(deadline=soon())


def test_what_came_before_the_end_is_still_received(make_pair: MakePair, soon: Soon) -> None:
    pair = make_pair(Member(0, 0), Member(3, 2))
    pair.higher.send(b"last words", deadline=soon())
    pair.higher.close()
    assert pair.lower.receive(deadline=soon()) == b"last words"
    with pytest.raises(PeerClosed, match="rank 3 closed the connection") as caught:
        pair.lower.receive(deadline=soon())
    assert caught.value.details["attempt"] == 2


def test_sending_to_one_who_has_gone_is_an_error(make_pair: MakePair, soon: Soon) -> None:
    pair = make_pair()
    pair.lower.close()
    with pytest.raises(PeerClosed, match="rank 0 closed the connection"):
        pair.higher.send(bytes(LARGE), deadline=soon())


def test_foreign_bytes_end_the_channel_and_are_told_apart(make_pair: MakePair, soon: Soon) -> None:
    pair = make_pair()
    pair.sockets[1].send(b"x" * 100)
    with pytest.raises(PeerClosed, match="bytes that cannot be trusted"):
        pair.lower.receive(deadline=soon())
    assert pair.lower.refused


def test_a_frame_above_the_limit_is_not_taken(make_pair: MakePair, soon: Soon) -> None:
    pair = make_pair(settings=ChannelSettings(max_payload=1000))
    pair.higher.send(bytes(1001), deadline=soon())
    with pytest.raises(PeerClosed, match="1001 bytes; this end takes at most 1000"):
        pair.lower.receive(deadline=soon())


def test_close_lets_the_peer_read_everything_though_something_was_unread_here(make_pair: MakePair, soon: Soon) -> None:
    pair = make_pair()
    pair.lower.send(b"never read", deadline=soon())
    pair.higher.send(b"sent", deadline=soon())
    pair.higher.close()
    assert pair.lower.receive(deadline=soon()) == b"sent"
    pair.higher.close()  # again: nothing happens


def test_values_go_into_rooms_in_order_if_they_suit(make_pair: MakePair, soon: Soon) -> None:
    pair = make_pair()
    rooms = [np.zeros(3), None, np.zeros(3), bytearray(4)]
    pair.lower.lend(0, 0, [None if room is None else Room.of(room) for room in rooms])
    for value in (np.arange(3.0), np.arange(3.0) + 10, np.arange(4.0), b"four"):
        pair.higher.send(value, deadline=soon())  # all are there before the first is taken
    first, second, third, fourth = (pair.lower.receive(deadline=soon()) for _ in range(4))
    assert first is rooms[0]
    assert isinstance(first, np.ndarray)
    assert first.tolist() == [0, 1, 2]
    assert second.tolist() == [10, 11, 12]  # type: ignore[union-attr]
    assert third is not rooms[2]  # four items do not suit
    assert fourth is rooms[3] == b"four"


def test_rooms_are_for_one_operation_and_not_for_what_came_before(make_pair: MakePair, soon: Soon) -> None:
    pair = make_pair()
    for operation, value in ((6, 1.0), (7, 2.0), (7, 3.0)):
        pair.higher.push(operation, 1, 0, np.full(2, value))
    pair.higher.pump_out()
    pair.lower.pump_in()  # all three have found their places by now
    room = np.zeros(2)
    pair.lower.lend(7, 1, [None, None, Room.of(room)])
    pair.higher.push(7, 1, 0, np.full(2, 4.0))
    pair.higher.pump_out()
    values = [pair.lower.receive(deadline=soon()) for _ in range(4)]
    assert [value[0] for value in values] == [1, 2, 3, 4]  # type: ignore[index]
    assert values[3] is room


@pytest.mark.parametrize("tags", [True, False], ids=["tags", "bare"])
def test_a_room_that_is_taken_back_half_filled_is_written_no_more(make_pair: MakePair, soon: Soon, tags: bool) -> None:
    pair, array = make_pair(tags=tags), np.random.default_rng(0).integers(0, 255, LARGE, np.uint8)
    room = np.zeros(LARGE, np.uint8)
    pair.lower.lend(0, 0, [Room.of(room)])
    pair.higher.push(0, 0, 0, array)
    pair.higher.pump_out()
    pair.lower.pump_in()
    pair.lower.take_back()
    assert room.any()
    room[:] = 0
    sender = threading.Thread(target=lambda: pair.higher.send(b"next", deadline=soon()))
    sender.start()
    assert np.array_equal(pair.lower.receive(deadline=soon()), array)  # type: ignore[arg-type]
    assert not room.any()
    assert pair.lower.receive(deadline=soon()) == b"next"
    sender.join()
