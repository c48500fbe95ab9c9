import threading
import time

import numpy as np
import pytest

from lambda_image.comm.channel import ChannelSettings
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
