"""A rank that takes parts in the background, with a communicator that answers as it is told."""

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from lambda_image.bundle import Delivered, Parts, bundle
from lambda_image.comm.operations.collectives import Gathered
from lambda_image.errors import PeerClosed, RendezvousRejected
from lambda_image.gather_tree import GroupPlace
from lambda_image.handlers.taking import Taking

HANGING_S = 20.0
TRANSPORTS = {1: "direct", 2: "relayed"}


class Told:
    """A communicator whose gather gives an answer once it is closed."""

    def __init__(self, answer: Callable[[], Gathered]) -> None:
        self.answer = answer
        self.began, self.closed = threading.Event(), threading.Event()

    def gather(self, part: bytes, *, closing: Any, **_: Any) -> Gathered:
        closing.listen(self.closed.set)
        self.began.set()
        assert not closing.open or self.closed.wait(HANGING_S)
        return self.answer()


def taking(answer: Callable[[], Gathered], members: tuple[int, ...] = (0, 1, 4), **options: Any) -> Taking:
    made = Taking(Told(answer), GroupPlace("", members, 0), time.monotonic() + HANGING_S, **options)  # type: ignore[arg-type]
    made.begin()
    return made


def finish(made: Taking, **options: Any) -> tuple[Parts, str | None]:
    return made.finish(time.monotonic() + HANGING_S, nullcontext(), 0.01, **options)


def test_parts_have_the_ranks_of_the_run_and_their_transports():
    lost = PeerClosed("rank 0, gather: rank 4 is lost")
    parts, reason = finish(taking(lambda: Gathered([b"", b"one", None], {2: lost}, TRANSPORTS)))
    assert parts == Parts({1: Delivered("direct", b"one")}, {4: str(lost)})
    assert reason is None


def test_the_parts_of_inner_ranks_are_taken_apart_and_a_lost_one_takes_its_leaves_along():
    own = Parts({1: Delivered("self", b"one"), 2: Delivered("punched", b"two")}, {3: "rank 3 is lost"})
    lost = PeerClosed("rank 4 is lost")
    answer = Gathered([b"", bundle(own), None], {2: lost}, TRANSPORTS)
    parts, _ = finish(taking(lambda: answer, below={1: (2, 3), 4: (5,)}.__getitem__))
    assert {rank: (part.transport, bytes(part.content)) for rank, part in parts.came.items()} == {
        1: ("direct", b"one"),
        2: ("punched", b"two"),
    }
    assert parts.missing == {3: "rank 3 is lost", 4: "rank 4 is lost", 5: "rank 4 is lost"}


def test_an_inner_rank_that_sends_no_such_parts_counts_as_missing():
    answer = Gathered([b"", b"what is this", bundle(Parts())], transports=TRANSPORTS)
    parts, _ = finish(taking(lambda: answer, below=lambda inner: (inner + 1,)))
    assert parts.came == {}
    assert parts.missing.keys() == {1, 2, 4, 5}
    assert "sent what cannot be read" in parts.missing[1]


class Patient:
    """A communicator whose gather ends by its deadline only."""

    def gather(self, part: bytes, *, closing: Any, **_: Any) -> Gathered:
        changed = threading.Event()
        closing.listen(changed.set)
        while closing.open or closing.deadline > time.monotonic():
            assert changed.wait(HANGING_S), "the gather was not told to end"
            changed.clear()
        return Gathered([b"", None, None], dict.fromkeys((1, 2), PeerClosed("late")))


def test_it_stops_waiting_for_what_is_of_no_use():
    made = Taking(Patient(), GroupPlace("", (0, 1, 4), 0), time.monotonic() + HANGING_S)  # type: ignore[arg-type]
    made.begin()
    parts, reason = finish(made, in_vain=lambda: "rank 0 is lost")
    assert (reason, parts.missing.keys()) == ("rank 0 is lost", {1, 4})


def test_what_the_gather_raises_is_raised_where_it_is_waited_for():
    def refuse() -> Gathered:
        raise RendezvousRejected("attempt 1 of this rank has taken its place")

    with pytest.raises(RendezvousRejected):
        finish(taking(refuse))


def test_it_can_be_stopped_before_it_begins_and_while_it_waits():
    made = taking(lambda: Gathered([b"", None, None], dict.fromkeys((1, 2), PeerClosed("late"))))
    made.stop()
    assert not made._thread.is_alive()
    Taking(Told(lambda: Gathered([])), GroupPlace("", (0, 1), 0), time.monotonic()).stop()  # type: ignore[arg-type]
