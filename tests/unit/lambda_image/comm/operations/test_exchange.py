"""One operation at one rank, by either path; its peers' ends of the channels are played by the test."""

import gc
import itertools
import os
import socket
import threading
import time
import weakref

import numpy as np
import pytest

from lambda_image.comm.channel.channel import Channel
from lambda_image.comm.channel.frames import HEADER, WHOLE_BYTES
from lambda_image.comm.channel.handshake import Member
from lambda_image.comm.channel.signals import Flag, Kind, abort_payload, parse_abort
from lambda_image.comm.channel.values import Value
from lambda_image.comm.operations import collectives
from lambda_image.comm.operations.exchange import Exchange
from lambda_image.comm.roster import SILENCE_AFTER_LEAVING_S
from lambda_image.errors import PeerClosed, PeerTimeout, RendezvousRejected
from tests.unit.lambda_image.comm.local_group import (
    HANGING_S,
    LARGE,
    LocalGroup,
    MakeGroup,
    MakePair,
    Soon,
    awaited,
    came,
    finish,
    gathering,
    put,
)


@pytest.fixture(params=["short", "long"])
def make_group(request: pytest.FixtureRequest, make_group: MakeGroup) -> MakeGroup:
    """Rank 0 takes the fast path as far as it leads, or the general one from the beginning."""

    def make(world_size: int) -> LocalGroup:
        group = make_group(world_size)
        group.ranks[0].fast = request.param == "short"
        group.ranks[0].wakeup.clear()  # that all have connected: news are for the general path
        return group

    return make


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


@pytest.mark.parametrize("left_s", [0.0, 0.002, 0.05])
def test_no_peer_is_awaited_past_the_deadline(make_group: MakeGroup, left_s: float) -> None:
    group = make_group(2)
    began = time.monotonic()
    with pytest.raises(PeerTimeout, match="rank 1 had not sent its part by the deadline"):
        gathering(group, began + left_s, 1).run()
    assert left_s <= time.monotonic() - began < left_s + HANGING_S / 2


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
            threading.Thread(target=finish, args=(slow,)).start()

    exchange.on_received = arrived
    exchange.run()
    assert order == [2, 1]
    assert exchange.received[1] == [bytes(LARGE)]


def test_a_peer_that_stops_within_a_small_frame_delays_nobody(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(3)
    sock = socket.socket(fileno=os.dup(group.channel(1, 0).fileno()))
    sock.send(HEADER.pack(1, int(Kind.GATHER), 0, 0, 0)[:5])
    sock.close()
    put(group.channel(2, 0), b"quick")
    exchange = gathering(group, time.monotonic() + 0.2, 1, 2)
    exchange.run(tolerant=True)
    assert exchange.received == {2: [b"quick"]}
    assert list(exchange.failed) == [1]


@pytest.mark.parametrize("size", [0, WHOLE_BYTES, WHOLE_BYTES + 1, LARGE])
def test_no_peer_is_awaited_while_others_wait_for_room(
    make_group: MakeGroup, soon: Soon, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, awaited_ones, await_in = make_group(3), list[Channel](), Channel.await_in
    monkeypatch.setattr(Channel, "await_in", lambda self: awaited_ones.append(self) or await_in(self))
    exchange = gathering(group, soon(), 1, 2)
    exchange.expect_from_all(size)
    for rank in 1, 2:
        put(group.channel(rank, 0), b"x")
    exchange.run()
    assert exchange.received == {1: [b"x"], 2: [b"x"]}
    assert bool(awaited_ones) == (group.ranks[0].fast and size <= WHOLE_BYTES)


@pytest.mark.parametrize("reads", [True, False])
def test_one_who_only_sends_waits_for_the_peer_and_not_past_the_deadline(
    make_group: MakeGroup, soon: Soon, reads: bool
) -> None:
    group, came = make_group(2), list[Value]()
    peer = group.channel(1, 0)
    reader = threading.Thread(target=lambda: came.append(awaited(peer).value))
    if reads:
        reader.start()
    began = time.monotonic()
    with group.ranks[0].exchange(Kind.SEND, soon() if reads else began + 0.2) as exchange:
        exchange.send(1, bytes(LARGE), wait=True)
        exchange.run(tolerant=True)
    if reads:
        reader.join()
        assert (came, exchange.failed) == ([bytes(LARGE)], {})
    else:
        assert isinstance(exchange.failed[1], PeerTimeout)
        assert time.monotonic() - began < 5


def test_one_who_waits_while_it_sends_hears_of_its_dismissal(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(2)
    error = RendezvousRejected("attempt 1 has taken its place")
    threading.Timer(0.02, group.ranks[0].roster.fail, (error,), {"dismissed": True}).start()
    with pytest.raises(RendezvousRejected):
        collectives.send(group.ranks[0], bytes(LARGE), 1, soon())


def test_small_frames_are_taken_in_turn_whoever_sends_first(make_group: MakeGroup, soon: Soon) -> None:
    """So that the rank is woken once, and not by each peer."""
    group = make_group(4)
    order: list[int] = []
    if not group.ranks[0].fast:
        pytest.skip("the general path takes what comes first")
    for _ in range(2):
        for peer in (3, 2, 1):
            put(group.channel(peer, 0), b"part", operation=group.ranks[0].operation + 1)
        exchange = gathering(group, soon(), 1, 2, 3)
        exchange.on_received = lambda rank, value, flags: order.append(rank)
        exchange.run()
    assert order == [1, 2, 3, 1, 2, 3]


def test_the_turn_of_a_replaced_attempt_is_not_that_of_its_successor(
    make_group: MakeGroup, make_pair: MakePair, soon: Soon
) -> None:
    group = make_group(2)
    put(group.channel(1, 0), b"first")
    gathering(group, soon(), 1).run()
    newer = make_pair(Member(0, 0), Member(1, 1))
    group.ranks[0].roster.connected(newer.lower, time.monotonic())
    group.ranks[0].wakeup.clear()
    put(newer.higher, b"second", operation=2)
    exchange = gathering(group, soon(), 1)
    exchange.run()
    assert exchange.received == {1: [b"second"]}


def test_a_rank_that_was_replaced_stops_even_when_it_tolerates(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(2)
    group.ranks[0].roster.fail(RendezvousRejected("attempt 1 has taken its place"), dismissed=True)
    with pytest.raises(RendezvousRejected):
        gathering(group, soon(), 1).run(tolerant=True)


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
    assert caught.value.peer == 2


def test_a_failure_is_told_to_the_others_and_their_channels_stay(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(3)
    group.channel(1, 0).close()
    with pytest.raises(PeerClosed), gathering(group, soon(), 1, 2, abort_to=(1, 2)) as exchange:
        exchange.run()
    frame = came(group.channel(2, 0))
    assert frame is not None
    assert frame.header.flags == Flag.ABORT
    assert parse_abort(frame.value).peer == 1
    assert group.channel(0, 2).ended is None


def test_a_mistake_of_the_callers_is_told_too(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(2)
    with pytest.raises(ZeroDivisionError), gathering(group, soon(), 1, abort_to=(1,)):
        _ = 1 / 0
    frame = came(group.channel(1, 0))
    assert frame is not None
    assert "ZeroDivisionError" in parse_abort(frame.value).reason


def test_telling_one_who_does_not_read_takes_a_bounded_time(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(2)
    stuck = group.channel(0, 1)
    exchange, limit = group.ranks[0].exchange(Kind.BCAST, time.monotonic(), abort_to=(1,)), soon()
    exchange.send(1, bytes(LARGE))
    with pytest.raises(PeerTimeout), exchange:
        exchange.run()
    assert stuck.ended is not None  # half a frame has gone: this channel can carry nothing else
    assert time.monotonic() < limit


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
    assert group.channel(0, 1).ended == "was given up, because the operation was interrupted"


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
        exchange.watch_aborts = True
        exchange.on_received = None if together else fail
        with pytest.raises(PeerClosed, match=r"rank 2 closed the connection \(as rank 1 says\)"):
            exchange.run()


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
    threading.Thread(target=finish, args=(sender,)).start()
    assert awaited(group.channel(0, 1)).value == b"x" * LARGE
    assert not any(room)


def test_what_came_the_short_way_stays_when_the_rest_needs_the_long_one(
    make_group: MakeGroup, make_pair: MakePair, soon: Soon
) -> None:
    group, late = make_group(3), make_pair(Member(0, 0), Member(3, 0))
    put(group.channel(1, 0), b"one")
    put(group.channel(1, 0), b"two")
    put(group.channel(2, 0), b"other")
    put(late.higher, b"late")
    exchange = gathering(group, soon(), 1, 2, 1)
    exchange.run()
    exchange.receive(3)  # who is not there yet
    threading.Thread(target=group.ranks[0].roster.connected, args=(late.lower, time.monotonic())).start()
    exchange.send(1, b"answer")
    exchange.run()
    assert exchange.received == {1: [b"one", b"two"], 2: [b"other"], 3: [b"late"]}
    answer = came(group.channel(1, 0))
    assert answer is not None
    assert answer.value == b"answer"


def test_values_go_into_their_rooms_however_many_come_from_one(make_group: MakeGroup, soon: Soon) -> None:
    """The first comes alone, the second with the third in pieces, the last in a second run."""
    group, out_buffers = make_group(2), [np.zeros(count, np.uint8) for count in (3, 5000, LARGE, 2)]
    parts = [np.full(len(room), number, np.uint8) for number, room in enumerate(out_buffers, 1)]
    sender, threads = group.channel(1, 0), list[threading.Thread]()

    def send(rank: int, value: Value, flags: int) -> None:
        if value is out_buffers[0]:
            for part in parts[1:3]:
                sender.push(1, Kind.GATHER, 0, part)
            threads.append(threading.Thread(target=finish, args=(sender,)))
            threads[0].start()

    with group.ranks[0].exchange(Kind.GATHER, soon()) as exchange:
        exchange.on_received = send
        for room in out_buffers[:3]:
            exchange.receive(1, room)
        sender.push(1, Kind.GATHER, 0, parts[0])
        sender.pump_out()
        exchange.run()
        threads[0].join()
        exchange.on_received = None
        exchange.receive(1, out_buffers[3])
        sender.push(1, Kind.GATHER, 0, parts[3])
        sender.pump_out()
        exchange.run()
        assert all(value is room for value, room in zip(exchange.received[1], out_buffers, strict=True))
    assert all(map(np.array_equal, out_buffers, parts))


def test_what_may_wait_goes_before_large_values_have_come(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(3)
    quick, slow = group.channel(1, 0), group.channel(2, 0)
    exchange = gathering(group, soon(), 1, 2)
    exchange.on_received = lambda rank, value, flags: exchange.answer(rank, Flag.RECEIPT)
    put(quick, b"small")
    slow.push(1, Kind.GATHER, 0, bytes(LARGE))
    slow.pump_out()

    def go_on_when_answered() -> None:
        assert awaited(quick).header.flags == Flag.RECEIPT
        finish(slow)

    thread = threading.Thread(target=go_on_when_answered)
    thread.start()
    exchange.run()
    thread.join()
    assert exchange.received == {1: [b"small"], 2: [bytes(LARGE)]}


def test_what_may_wait_goes_when_nothing_comes(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(3)
    exchange = gathering(group, soon(), 1, 2)
    exchange.on_received = lambda rank, value, flags: exchange.answer(rank, Flag.RECEIPT)
    put(group.channel(1, 0), b"early")

    def send_when_answered() -> None:
        awaited(group.channel(1, 0))
        put(group.channel(2, 0), b"late")

    threading.Thread(target=send_when_answered).start()
    exchange.run()
    assert exchange.received == {1: [b"early"], 2: [b"late"]}
    last = came(group.channel(2, 0))
    assert last is not None
    assert last.header.flags == Flag.RECEIPT


def test_one_who_is_ahead_does_not_keep_the_wait_awake(make_group: MakeGroup, soon: Soon) -> None:
    group, steps = make_group(3), itertools.count()

    def clock() -> float:
        next(steps)  # once or twice each time that the wait ends
        return time.monotonic()

    put(group.channel(1, 0), b"part")
    put(group.channel(1, 0), b"next", operation=2)
    group.ranks[0].clock = clock
    exchange = group.ranks[0].exchange(Kind.GATHER, soon())
    for peer in (1, 2):
        exchange.receive(peer)
    threading.Timer(0.05, put, args=(group.channel(2, 0), b"late")).start()
    exchange.run()
    assert exchange.received == {1: [b"part"], 2: [b"late"]}
    assert next(steps) < 20


def test_an_exchange_leaves_no_cycle_for_the_garbage_collector(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(2)

    def gather() -> "weakref.ref[Exchange]":
        with gathering(group, soon(), 1) as exchange:
            exchange.on_received = lambda rank, value, flags: exchange.send(rank)
            exchange.run()
        return weakref.ref(exchange)

    put(group.channel(1, 0), b"part")
    gc.disable()
    try:
        assert gather()() is None
    finally:
        gc.enable()


def test_a_receipt_that_cannot_go_makes_nobody_due_twice(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(3)
    exchange = gathering(group, soon(), 1, 2)
    exchange.on_received = lambda rank, value, flags: exchange.answer(rank, Flag.RECEIPT)
    put(group.channel(1, 0), b"one")
    group.channel(1, 0).close()
    threading.Timer(0.1, put, (group.channel(2, 0), b"two")).start()
    exchange.run(tolerant=True)
    assert exchange.received == {1: [b"one"], 2: [b"two"]}
    assert list(exchange.failed) == [1]


def test_a_failure_is_heard_while_others_are_awaited(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(3)
    put(group.channel(1, 0), b"part")
    exchange = gathering(group, soon(), 1, 2)
    exchange.watch_aborts = True
    words = abort_payload(PeerClosed("", peer=2, reason="closed the connection"))
    threading.Timer(0.1, put, (group.channel(1, 0), words), {"flags": Flag.ABORT}).start()
    with pytest.raises(PeerClosed, match=r"rank 2 closed the connection \(as rank 1 says\)"):
        exchange.run()


def test_a_failure_that_came_with_the_part_is_heard(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(3)
    put(group.channel(1, 0), b"part")
    words = abort_payload(PeerClosed("", peer=2, reason="closed the connection"))
    put(group.channel(1, 0), words, flags=Flag.ABORT)
    deadline = soon()
    exchange = gathering(group, deadline, 1, 2)
    exchange.watch_aborts = True
    with pytest.raises(PeerClosed, match=r"rank 2 closed the connection \(as rank 1 says\)"):
        exchange.run()
    assert time.monotonic() < deadline  # which is when everything is looked at again


def test_a_rank_that_was_replaced_sends_nothing(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(2)
    group.ranks[0].roster.fail(RendezvousRejected("attempt 1 has taken its place"), dismissed=True)
    exchange = group.ranks[0].exchange(Kind.GATHER, soon())
    exchange.send(1, b"part")
    with pytest.raises(RendezvousRejected):
        exchange.run()
    assert came(group.channel(1, 0)) is None


def test_an_interrupt_while_a_frame_is_sent_ends_the_channel(
    make_group: MakeGroup, make_pair: MakePair, soon: Soon
) -> None:
    """Between the system call and the note of what it took, which is when the channel asks for the time."""
    interrupts = iter([False, False, True])  # each end asks once when it is made

    def clock() -> float:
        if next(interrupts, False):
            raise KeyboardInterrupt
        return time.monotonic()

    rank, pair = make_group(1).ranks[0], make_pair(clock=clock)
    rank.roster.connected(pair.lower, time.monotonic())
    rank.wakeup.clear()
    exchange = rank.exchange(Kind.GATHER, soon())
    with pytest.raises(KeyboardInterrupt), exchange:
        exchange.send(1, b"part")
    assert pair.lower.ended == "was given up, because the operation was interrupted"


@pytest.mark.parametrize("size", [4, LARGE])
def test_an_interrupt_while_a_frame_comes_ends_the_channel(
    make_group: MakeGroup, make_pair: MakePair, soon: Soon, size: int
) -> None:
    """Bytes that are not noted would be missing in what comes next, for which the peer would be blamed."""
    armed = False

    def clock() -> float:
        if armed:
            raise KeyboardInterrupt
        return time.monotonic()

    rank, pair = make_group(1).ranks[0], make_pair(clock=clock)
    rank.roster.connected(pair.lower, time.monotonic())
    rank.wakeup.clear()
    pair.higher.push(1, Kind.GATHER, 0, bytes(size))
    pair.higher.pump_out()
    armed = True
    exchange = rank.exchange(Kind.GATHER, soon())
    exchange.receive(1)
    with pytest.raises(KeyboardInterrupt), exchange:
        exchange.run()
    armed = False
    exchange = rank.exchange(Kind.GATHER, soon())
    exchange.receive(1)
    with pytest.raises(PeerClosed, match=r"rank 1 was given up, because receiving was interrupted"):
        exchange.run()
    assert not pair.lower.refused


def test_who_has_gone_since_his_part_came_is_not_waited_for(
    make_group: MakeGroup, make_pair: MakePair, soon: Soon
) -> None:
    """The channel's clock is so late that its silence is over soon after anything has moved."""
    group = make_group(3)
    rank = group.ranks[0]
    pair = make_pair(clock=lambda: time.monotonic() - SILENCE_AFTER_LEAVING_S + 0.05)
    rank.roster.connected(pair.lower, time.monotonic())
    rank.wakeup.clear()
    put(pair.higher, b"part")

    def leave(peer: int, value: Value, flags: int) -> None:
        if peer == 1:
            rank.roster.left(Member(1, 0), "left the group", time.monotonic() - 100)
            put(group.channel(2, 0), b"late")

    deadline = soon()
    exchange = gathering(group, deadline, 1, 2)
    exchange.on_received = leave
    exchange.run()
    exchange.send(1, bytes(LARGE))
    with pytest.raises(PeerClosed, match="left the group"):
        exchange.run()
    assert time.monotonic() < deadline  # which is when everything is looked at again


def test_waiting_for_one_to_whom_much_was_sent_does_not_occupy_the_processor(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(2)
    peer, looks = group.channel(1, 0), 0

    def clock() -> float:
        nonlocal looks
        looks += 1
        return time.monotonic()

    group.ranks[0].clock = clock
    threading.Thread(target=awaited, args=(peer,)).start()
    exchange = group.ranks[0].exchange(Kind.GATHER, soon())
    exchange.send(1, bytes(LARGE))
    exchange.run()
    exchange.receive(1)
    looks = 0
    threading.Timer(0.05, put, args=(peer, b"answer")).start()
    exchange.run()
    assert looks < 10  # one who does not wait looks thousands of times


def test_rooms_begin_where_the_first_was_given(make_group: MakeGroup, soon: Soon) -> None:
    group, out_buffers = make_group(3), [bytearray(4), bytearray(4)]
    put(group.channel(1, 0), b"one")
    put(group.channel(2, 0), b"two")
    with group.ranks[0].exchange(Kind.GATHER, soon()) as exchange:
        exchange.receive(2, bytearray(3))
        exchange.receive(1)
        exchange.run()
        for room, value in zip(out_buffers, (b"aaaa", b"bbbb"), strict=True):
            exchange.receive(1, room)
            put(group.channel(1, 0), value)
        exchange.run()
        assert exchange.received[1][1] is out_buffers[0]
        assert exchange.received[1][2] is out_buffers[1]


def test_a_channel_that_ended_after_a_good_frame_is_told_in_the_next_run(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(2)
    put(group.channel(1, 0), b"good")
    os.write(group.channel(1, 0).fileno(), b"x" * 64)  # which comes with it
    exchange = gathering(group, soon(), 1)
    exchange.run()
    exchange.receive(1)
    with pytest.raises(PeerClosed, match="cannot be trusted"):
        exchange.run()
