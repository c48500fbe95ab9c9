"""One operation at one rank, its peers' ends of the channels played by the test."""

import threading
import time

import pytest

from lambda_image.comm.channel import Channel
from lambda_image.comm.exchange import ABORT_LIMIT_S, Exchange
from lambda_image.comm.frames import Frame
from lambda_image.comm.handshake import Member
from lambda_image.comm.signals import Flag, Kind, abort_payload, parse_abort
from lambda_image.comm.values import Value
from lambda_image.errors import PeerClosed, PeerTimeout, PeerUnreachable, RendezvousRejected, RendezvousUnreachable
from tests.unit.lambda_image.comm.local_group import LocalGroup, MakeGroup, MakePair, Soon

LARGE = 8 << 20  # more than socket buffers hold
GONE = "left the group"


def put(channel: Channel, value: bytes, operation: int = 1, kind: Kind = Kind.GATHER, flags: Flag = Flag.NONE) -> None:
    """What a peer that runs `kind` as its operation number `operation` sends."""
    channel.push(operation, kind, flags, value)
    channel.pump_out()


def gathering(group: LocalGroup, deadline: float, *peers: int, tell: tuple[int, ...] = ()) -> Exchange:
    exchange = group.ranks[0].exchange(Kind.GATHER, deadline, tell=tell)
    for peer in peers:
        exchange.receive(peer)
    return exchange


def came(channel: Channel) -> Frame | None:
    channel.pump_in()
    return channel.frame


def test_parts_are_kept_though_another_peer_is_overdue(make_group: MakeGroup) -> None:
    group = make_group(4)
    put(group.channel(1, 0), b"one")
    put(group.channel(3, 0), b"three")
    exchange = gathering(group, time.monotonic(), 1, 2, 3)
    exchange.run(tolerant=True)
    assert exchange.received == {1: [b"one"], 3: [b"three"]}
    assert list(exchange.failed) == [2]
    error = exchange.failed[2]
    assert isinstance(error, PeerTimeout)
    assert "rank 0, gather: rank 2 had not sent its part by the deadline" in str(error)


def test_the_first_failure_is_raised_unless_tolerated(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(3)
    group.channel(2, 0).close()
    with pytest.raises(PeerClosed, match="rank 2 closed the connection"):
        gathering(group, soon(), 1, 2).run()


def test_a_slow_peer_delays_nobody(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(3)
    slow, quick = group.channel(1, 0), group.channel(2, 0)
    slow.push(1, Kind.GATHER, 0, bytes(LARGE))
    slow.pump_out()  # as much as the buffers hold, and no more for now
    put(quick, b"quick")
    order: list[int] = []
    exchange = gathering(group, soon(), 1, 2)

    def arrived(rank: int, value: Value, flags: int) -> None:
        order.append(rank)
        if rank == 2:
            threading.Thread(target=finish).start()

    def finish() -> None:
        while slow.sending:
            slow.pump_out()

    exchange.on_received = arrived
    exchange.run()
    assert order == [2, 1]
    assert exchange.received[1] == [bytes(LARGE)]


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


def test_a_failed_rendezvous_fails_those_that_it_never_announced(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(2)
    put(group.channel(1, 0), b"still works")
    group.ranks[0].roster.fail(RendezvousUnreachable("the server has shut down"))
    exchange = gathering(group, soon(), 1, 2)
    exchange.run(tolerant=True)
    assert exchange.received == {1: [b"still works"]}
    assert isinstance(exchange.failed[2], RendezvousUnreachable)


def test_a_rank_that_was_replaced_stops_even_when_it_tolerates(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(2)
    group.ranks[0].roster.fail(RendezvousRejected("attempt 1 has taken its place"), dismissed=True)
    with pytest.raises(RendezvousRejected):
        gathering(group, soon(), 1).run(tolerant=True)


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
    former, old = group.channel(0, 1), group.channel(1, 0)
    old.push(1, Kind.GATHER, 0, bytes(LARGE))
    old.pump_out()
    exchange = gathering(group, soon(), 1)

    def replace() -> None:
        while not former.bytes_received:
            time.sleep(0.001)
        group.ranks[0].roster.connected(newer.lower, time.monotonic())
        old.close()

    threading.Thread(target=replace).start()
    with pytest.raises(PeerClosed, match=r"middle of a frame; it was replaced \(attempt 1\)"):
        exchange.run()
    following = gathering(group, soon(), 1)
    put(newer.higher, b"second attempt", operation=2)
    following.run()
    assert following.received == {1: [b"second attempt"]}


def test_frames_of_operations_that_have_ended_are_dropped(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(2)
    late = group.channel(1, 0)
    put(late, b"late part", operation=1)
    put(late, b"between", operation=1, kind=Kind.SEND)
    put(late, b"due", operation=2)
    group.ranks[0].operation = 1
    exchange = gathering(group, soon(), 1)
    exchange.run()
    assert exchange.received == {1: [b"due"]}


def test_a_peer_that_is_ahead_is_told_apart_and_its_frame_kept(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(2)
    put(group.channel(1, 0), b"", operation=2, kind=Kind.BARRIER)
    with pytest.raises(PeerClosed, match=r"is at operation 2 \(barrier\) while this rank is at 1 \(gather\)"):
        gathering(group, soon(), 1).run()
    barrier = group.ranks[0].exchange(Kind.BARRIER, soon())
    barrier.receive(1)
    barrier.run()
    assert barrier.received == {1: [b""]}


def test_another_operation_of_the_same_number_is_lost_step(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(2)
    put(group.channel(1, 0), b"", kind=Kind.BARRIER)
    with pytest.raises(PeerClosed, match=r"1 \(barrier\) while this rank is at 1 \(gather\)"):
        gathering(group, soon(), 1).run()


def test_an_abort_becomes_the_error_that_it_tells_of(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(3)
    words = abort_payload(PeerTimeout("", peer=2, reason="had not joined by the deadline"))
    put(group.channel(1, 0), words, flags=Flag.ABORT)
    with pytest.raises(PeerTimeout, match=r"rank 2 had not joined by the deadline \(as rank 1 says\)") as caught:
        gathering(group, soon(), 1).run()
    assert caught.value.details["peer"] == 2


def test_a_failure_is_told_to_the_others_and_their_channels_stay(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(3)
    group.channel(1, 0).close()
    with pytest.raises(PeerClosed), gathering(group, soon(), 1, 2, tell=(1, 2)) as exchange:
        exchange.run()
    frame = came(group.channel(2, 0))
    assert frame is not None
    assert frame.header.flags == Flag.ABORT
    assert parse_abort(frame.value).peer == 1
    assert group.channel(0, 2).ended is None


def test_a_mistake_of_the_callers_is_told_too(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(2)
    with pytest.raises(ZeroDivisionError), gathering(group, soon(), 1, tell=(1,)):
        _ = 1 / 0
    frame = came(group.channel(1, 0))
    assert frame is not None
    assert "ZeroDivisionError" in parse_abort(frame.value).reason


def test_telling_one_who_does_not_read_takes_a_bounded_time(make_group: MakeGroup) -> None:
    group = make_group(2)
    stuck = group.channel(0, 1)
    began = time.monotonic()
    exchange = group.ranks[0].exchange(Kind.BCAST, began, tell=(1,))
    exchange.send(1, bytes(LARGE))
    with pytest.raises(PeerTimeout), exchange:
        exchange.run()
    assert stuck.ended is not None  # half a frame has gone: this channel can carry nothing else
    assert time.monotonic() - began < ABORT_LIMIT_S + 5


def test_an_interrupt_leaves_no_half_frame_behind(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(2)

    def interrupt(rank: int, value: Value, flags: int) -> None:
        raise KeyboardInterrupt

    put(group.channel(1, 0), b"part")
    exchange = gathering(group, soon(), 1)
    exchange.send(1, bytes(LARGE))
    exchange.on_received = interrupt
    with pytest.raises(KeyboardInterrupt), exchange:
        exchange.run()
    assert group.channel(0, 1).ended == "was given up: the operation was interrupted"


def test_a_failure_is_heard_of_one_from_whom_nothing_is_due_any_more(make_group: MakeGroup, soon: Soon) -> None:
    """Before or after the wait for the others has begun."""
    for together in (True, False):
        group = make_group(3)
        put(group.channel(1, 0), b"part")
        words = abort_payload(PeerClosed("", peer=2, reason="closed the connection"))
        if together:
            put(group.channel(1, 0), words, flags=Flag.ABORT)

        def fail(rank: int, value: Value, flags: int, words: bytes = words, group: LocalGroup = group) -> None:
            threading.Thread(target=put, args=(group.channel(1, 0), words), kwargs={"flags": Flag.ABORT}).start()

        exchange = gathering(group, soon(), 1, 2)
        exchange.attentive = True
        exchange.on_received = None if together else fail
        with pytest.raises(PeerClosed, match=r"rank 2 closed the connection \(as rank 1 says\)"):
            exchange.run()


def test_one_who_is_ahead_is_listened_to_no_further(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(3)
    put(group.channel(1, 0), b"part")
    put(group.channel(1, 0), b"next", operation=2)
    exchange = gathering(group, soon(), 1, 2)
    exchange.attentive = True
    threading.Timer(0.05, put, args=(group.channel(2, 0), b"late")).start()
    exchange.run()
    assert exchange.received == {1: [b"part"], 2: [b"late"]}
    following = gathering(group, soon(), 1)
    following.run()
    assert following.received == {1: [b"next"]}


def test_a_room_is_given_back_when_its_owner_has_waited_long_enough(make_group: MakeGroup, soon: Soon) -> None:
    group, room = make_group(2), bytearray(LARGE)
    sender = group.channel(1, 0)
    sender.push(1, Kind.GATHER, 0, b"x" * LARGE)
    sender.pump_out()
    exchange = group.ranks[0].exchange(Kind.GATHER, time.monotonic())
    exchange.receive(1, room)
    with pytest.raises(PeerTimeout), exchange:
        exchange.run()
    room[:] = bytes(LARGE)
    threading.Thread(target=lambda: [sender.pump_out() for _ in iter(lambda: sender.sending, False)]).start()
    while (frame := came(group.channel(0, 1))) is None:
        time.sleep(0.001)
    assert frame.value == b"x" * LARGE
    assert not any(room)
