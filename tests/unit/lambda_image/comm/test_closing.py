import threading
import time
from typing import Any

import pytest

from lambda_image.comm.channel.handshake import Member
from lambda_image.comm.channel.signals import Kind
from lambda_image.comm.closing import Closing
from lambda_image.comm.operations.collectives import Gathered, gather, withdraw
from lambda_image.errors import PeerClosed, PeerTimeout, PeerUnreachable, RendezvousRejected, RendezvousUnreachable
from tests.unit.lambda_image.comm.local_group import HANGING_S, LARGE, LocalGroup, MakeGroup, gathering, put

SOON_S = 0.2


class OpenGather:
    """A gather that rank 0 is in, in a thread of its own."""

    def __init__(self, group: LocalGroup, latest_s: float = HANGING_S) -> None:
        self.closing = Closing(time.monotonic() + latest_s)
        self.group, self.result = group, Gathered([])
        self.thread = threading.Thread(target=self._gather, daemon=True)
        self.thread.start()

    def _gather(self) -> None:
        root, closing = self.group.ranks[0], self.closing
        result = gather(root, b"", 0, closing.deadline, allow_missing=True, await_retries=True, closing=closing)
        assert result is not None
        self.result = result

    def give(self, rank: int, part: bytes) -> None:
        gather(self.group.ranks[rank], part, 0, time.monotonic() + HANGING_S, allow_missing=True)

    def close(self, seconds: float = 0.0) -> Gathered:
        assert self.thread.is_alive()
        self.closing.close(time.monotonic() + seconds)
        self.thread.join(HANGING_S / 2)
        assert not self.thread.is_alive()
        return self.result


def test_parts_are_taken_before_it_is_known_when_the_gather_ends(make_group: MakeGroup) -> None:
    open_gather = OpenGather(make_group(3))
    open_gather.give(2, b"early")
    found = open_gather.close()
    assert found.parts == [b"", None, b"early"]
    assert isinstance(found.missing[1], PeerTimeout)


def test_it_ends_at_once_when_it_closes_and_all_parts_are_there(make_group: MakeGroup) -> None:
    open_gather = OpenGather(make_group(2))
    open_gather.give(1, b"part")
    assert open_gather.close(HANGING_S).parts == [b"", b"part"]
    open_gather.closing.close(0.0)  # whom nobody hears any more


def test_it_ends_by_its_latest_end_though_nobody_closes_it(make_group: MakeGroup) -> None:
    group = make_group(2)
    put(group.channel(1, 0), b"part")  # before it begins, since a busy machine may need all of its time
    open_gather = OpenGather(group, SOON_S)
    open_gather.thread.join(HANGING_S / 2)
    assert open_gather.result.parts == [b"", b"part"]


@pytest.mark.parametrize("world", [2, 3])
def test_who_is_tried_again_after_its_part_has_come_is_rid_of_it_again(make_group: MakeGroup, world: int) -> None:
    group = make_group(world)
    open_gather = OpenGather(group)
    for attempt in range(1, 4):
        open_gather.give(1, f"attempt {attempt - 1}".encode())
        group.connect(Member(0, 0), Member(1, attempt))
        group.ranks[1].operation = 0
    if world == 3:
        open_gather.give(2, b"two")
    assert open_gather.close(HANGING_S).parts == [b"", b"attempt 2", b"two"][:world]  # nobody waits for attempt 3
    assert open_gather.result.missing == {}


def test_a_part_stays_whatever_a_later_attempt_of_its_rank_does(make_group: MakeGroup) -> None:
    group = make_group(3)
    open_gather = OpenGather(group)
    open_gather.give(1, b"one")
    group.connect(Member(0, 0), Member(1, 1))
    group.ranks[1].operation = 0
    withdraw(group.ranks[1], ValueError("it cannot"), 0, time.monotonic() + HANGING_S)
    group.connect(Member(0, 0), Member(1, 2))
    group.channel(1, 0).close()
    open_gather.give(2, b"two")
    assert open_gather.close(HANGING_S) == Gathered([b"", b"one", b"two"])


def test_nobody_is_given_up_while_it_is_open_and_all_are_judged_when_it_closes() -> None:
    group = LocalGroup(5, absent=(2, 3, 4))
    roster = group.ranks[0].roster
    open_gather = OpenGather(group)
    group.channel(1, 0).close()
    roster.joined(Member(2, 0), time.monotonic())
    roster.unreachable(Member(2, 0), "could not be reached")
    roster.fail(RendezvousUnreachable("the server has shut down"))
    open_gather.thread.join(SOON_S)
    found = open_gather.close(HANGING_S)
    kinds = [type(found.missing[rank]) for rank in (1, 2, 3, 4)]
    assert kinds == [PeerClosed, PeerUnreachable, RendezvousUnreachable, RendezvousUnreachable]
    group.close()


def test_a_server_that_returns_while_it_is_open_has_cost_nothing() -> None:
    group = LocalGroup(2, absent=(1,))
    roster = group.ranks[0].roster
    roster.fail(RendezvousUnreachable("the server has shut down"))
    open_gather = OpenGather(group)
    open_gather.thread.join(SOON_S)
    roster.recovered()
    group.admit(Member(1, 0))
    open_gather.give(1, b"late")
    assert open_gather.close(HANGING_S).parts == [b"", b"late"]
    group.close()


def test_waiting_for_a_lost_peer_does_not_occupy_the_processor(make_group: MakeGroup) -> None:
    group = make_group(3)
    open_gather = OpenGather(group)
    group.channel(1, 0).close()
    open_gather.thread.join(SOON_S)
    before = time.process_time()
    open_gather.thread.join(SOON_S)
    assert time.process_time() - before < SOON_S / 2
    open_gather.close()


def test_a_root_that_is_replaced_ends_at_once_though_the_gather_is_open(make_group: MakeGroup) -> None:
    """It tells the others. One of them has just gone, which it hears of only as it sends."""
    group = make_group(3)
    deadline = time.monotonic() + HANGING_S
    exchange = gathering(group, deadline, 1, 2, abort_to=(1, 2))
    exchange.closing = Closing(deadline)
    group.channel(2, 0).close()
    group.ranks[0].roster.fail(RendezvousRejected("attempt 1 has taken its place"), dismissed=True)
    with pytest.raises(RendezvousRejected), exchange:
        exchange.run(tolerant=True)
    assert time.monotonic() < deadline - HANGING_S / 2


def test_a_part_in_the_callers_buffer_stays_though_a_later_attempt_sends_half_of_another(make_group: MakeGroup) -> None:
    group, out = make_group(2), bytearray(LARGE)
    closing, results = Closing(time.monotonic() + HANGING_S), list[Gathered | None]()

    def take() -> None:
        how: dict[str, Any] = {"allow_missing": True, "await_retries": True, "closing": closing}
        results.append(gather(group.ranks[0], b"", 0, closing.deadline, out=[b"", out], **how))

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    gather(group.ranks[1], b"1" * LARGE, 0, closing.deadline, allow_missing=True)
    group.connect(Member(0, 0), Member(1, 1))
    later = group.channel(1, 0)
    later.push(1, Kind.GATHER, 0, b"2" * LARGE)
    while later.bytes_sent < LARGE // 2:
        later.pump_out()
    closing.close(time.monotonic())
    thread.join(HANGING_S / 2)
    assert results[0] is not None
    assert results[0].parts == [b"", out]
    assert out == b"1" * LARGE
