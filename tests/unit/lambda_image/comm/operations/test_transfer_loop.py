"""One operation at one rank, with peers that come, go and are replaced; their ends are played by the test."""

import itertools
import select
import threading
import time

import pytest

from lambda_image.comm.channel.handshake import Member
from lambda_image.comm.channel.signals import Kind
from lambda_image.comm.operations.transfer_loop import STALE_AT_ONCE
from lambda_image.errors import PeerClosed, PeerTimeout, PeerUnreachable, RendezvousUnreachable
from tests.unit.lambda_image.comm.local_group import HANGING_S, LARGE, MakeGroup, MakePair, Soon, gathering, put

GONE = "left the group"


def test_who_leaves_during_the_wait_is_named_at_once(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(2)
    roster = group.ranks[0].roster
    exchange = gathering(group, soon(), 1)
    threading.Thread(target=group.channel(1, 0).close).start()
    with pytest.raises(PeerClosed, match="rank 1 closed the connection"):
        exchange.run()
    roster.left(Member(1, 0), GONE, time.monotonic() - 100)
    with pytest.raises(PeerClosed, match=f"it {GONE}"):
        gathering(group, soon(), 1).run()


def test_a_part_that_came_before_its_sender_died_is_received(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(2)
    put(group.channel(1, 0), b"last words")
    group.channel(1, 0).close()
    group.ranks[0].roster.left(Member(1, 0), GONE, time.monotonic() - 100)
    exchange = gathering(group, soon(), 1)
    exchange.run()
    assert exchange.received == {1: [b"last words"]}


def test_a_vanished_hosts_silence_ends_the_wait(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(2)
    group.channel(0, 1).moved_at -= 100
    group.ranks[0].roster.left(Member(1, 0), GONE, time.monotonic() - 100)  # its socket never says a word
    with pytest.raises(PeerClosed, match=GONE):
        gathering(group, soon(), 1).run()


def test_peers_without_a_channel_fail_by_what_is_known_of_them(make_group: MakeGroup) -> None:
    rank = make_group(1).ranks[0]
    now = time.monotonic()
    rank.roster.joined(Member(1, 0), now)
    rank.roster.joined(Member(2, 0), now)
    rank.roster.unreachable(Member(2, 0), "could not be reached (direct 10.0.0.2: refused)")
    exchange = rank.exchange(Kind.GATHER, now)
    for peer in (1, 2, 3):
        exchange.receive(peer)
    exchange.run(tolerant=True)
    assert [type(exchange.failed[peer]) for peer in (1, 2, 3)] == [PeerTimeout, PeerUnreachable, PeerTimeout]
    assert "had joined but not connected" in str(exchange.failed[1])
    assert "10.0.0.2: refused" in str(exchange.failed[2])
    assert "had not joined" in str(exchange.failed[3])


@pytest.mark.parametrize("deadline", [7.0, 1e6])
def test_frames_that_come_too_late_hold_nobody_beyond_the_deadline(make_group: MakeGroup, deadline: float) -> None:
    group, now = make_group(3), itertools.count()
    for _ in range(4 * STALE_AT_ONCE):
        put(group.channel(1, 0), b"stale", operation=1)
    put(group.channel(1, 0), b"due", operation=2)
    put(group.channel(2, 0), b"due", operation=2)
    rank = group.ranks[0]
    rank.operation, rank.clock = 1, lambda: float(next(now))  # looked at a few times in each turn
    exchange = gathering(group, deadline, 1, 2)
    exchange.run(tolerant=True)
    assert exchange.received[2] == [b"due"]
    assert (list(exchange.received), list(exchange.failed)) == (([2], [1]) if deadline == 7 else ([2, 1], []))


def test_a_failed_rendezvous_fails_those_that_it_never_announced(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(2)
    put(group.channel(1, 0), b"still works")
    group.ranks[0].roster.fail(RendezvousUnreachable("the server has shut down"))
    exchange = gathering(group, soon(), 1, 2)
    exchange.run(tolerant=True)
    assert exchange.received == {1: [b"still works"]}
    assert isinstance(exchange.failed[2], RendezvousUnreachable)


def test_a_peer_that_connects_during_the_wait_is_served(make_group: MakeGroup, make_pair: MakePair, soon: Soon) -> None:
    rank, pair = make_group(1).ranks[0], make_pair()
    put(pair.higher, b"late")
    exchange = rank.exchange(Kind.GATHER, soon())
    exchange.receive(1)
    threading.Thread(target=rank.roster.connected, args=(pair.lower, time.monotonic())).start()
    exchange.run()
    assert exchange.received == {1: [b"late"]}


def test_a_newer_attempt_takes_over_before_the_first_byte(
    make_group: MakeGroup, make_pair: MakePair, soon: Soon
) -> None:
    group, newer = make_group(2), make_pair(Member(0, 0), Member(1, 1))
    put(newer.higher, b"second attempt")
    exchange = gathering(group, soon(), 1)
    threading.Thread(target=group.ranks[0].roster.connected, args=(newer.lower, time.monotonic())).start()
    exchange.run()
    assert exchange.received == {1: [b"second attempt"]}


def test_after_the_first_byte_the_operation_is_bound_to_the_attempt(
    make_group: MakeGroup, make_pair: MakePair, soon: Soon
) -> None:
    group, newer = make_group(2), make_pair(Member(0, 0), Member(1, 1))
    old = group.channel(1, 0)
    old.push(1, Kind.GATHER, 0, bytes(LARGE))
    old.pump_out()
    exchange = gathering(group, soon(), 1)

    def replace() -> None:
        assert select.select((), (old,), (), HANGING_S)[1]  # there is room again: some has been read
        group.ranks[0].roster.connected(newer.lower, time.monotonic())
        old.close()

    threading.Thread(target=replace).start()
    with pytest.raises(PeerClosed, match=r"middle of a frame; it was replaced \(attempt 1\)"):
        exchange.run()
    following = gathering(group, soon(), 1)
    put(newer.higher, b"second attempt", operation=2)
    following.run()
    assert following.received == {1: [b"second attempt"]}


def test_one_who_is_ahead_is_listened_to_no_further(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(3)
    put(group.channel(1, 0), b"part")
    put(group.channel(1, 0), b"next", operation=2)
    exchange = gathering(group, soon(), 1, 2)
    exchange.watch_aborts = True
    threading.Timer(0.05, put, args=(group.channel(2, 0), b"late")).start()
    exchange.run()
    assert exchange.received == {1: [b"part"], 2: [b"late"]}
    following = gathering(group, soon(), 1)
    following.run()
    assert following.received == {1: [b"next"]}
