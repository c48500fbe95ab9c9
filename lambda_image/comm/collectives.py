"""The operations. Each is one `Exchange` (exchange.py); every rank calls the same ones in the same order.

All are stars: what several ranks contribute goes to one rank (the root, or rank 0 where there is none) and results come
back from there. Reductions fold in the order of ranks, so that results do not depend on who was first.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from lambda_image.comm.exchange import Exchange
from lambda_image.comm.signals import Flag, Kind, abort_payload
from lambda_image.comm.values import Value
from lambda_image.errors import RunError

HUB = 0  # where operations without a root meet: the rank that every topology connects to all others


class Group(Protocol):
    """What an operation needs; `exchange` gives the next operation its number."""

    @property
    def rank(self) -> int: ...
    @property
    def world_size(self) -> int: ...
    def exchange(self, kind: Kind, deadline: float, *, tell: Iterable[int] = ()) -> Exchange: ...


@dataclass(frozen=True, slots=True)
class Reduction:
    """How two contributions become one. What it declares is what a topology may make use of; the star needs neither."""

    combine: Callable[[Value, Value], Value]
    associative: bool = True
    commutative: bool = True


def _by_items(ufunc: np.ufunc) -> Callable[[Value, Value], Value]:
    def combine(left: Value, right: Value) -> Value:
        if not (isinstance(left, np.ndarray) and isinstance(right, np.ndarray)):
            raise TypeError("bytes are reduced by a function of the caller's; sum, min, max and prod take arrays")
        if left.shape != right.shape or left.dtype != right.dtype:
            raise ValueError(
                f"ranks contribute different arrays: {left.dtype}{list(left.shape)}, {right.dtype}{list(right.shape)}"
            )
        return np.asarray(ufunc(left, right))

    return combine


REDUCTIONS: dict[str, Reduction] = {
    "sum": Reduction(_by_items(np.add)),
    "min": Reduction(_by_items(np.minimum)),
    "max": Reduction(_by_items(np.maximum)),
    "prod": Reduction(_by_items(np.multiply)),
}


@dataclass(frozen=True, slots=True)
class Gathered:
    """What the root has: the parts by rank, None where one is missing, and for each of those why."""

    parts: list[Any]
    missing: dict[int, RunError] = field(default_factory=dict)


def send(group: Group, value: Value, to: int, deadline: float) -> None:
    with group.exchange(Kind.SEND, deadline) as exchange:
        exchange.send(to, value)
        exchange.run()


def recv(group: Group, source: int, deadline: float) -> Value:
    with group.exchange(Kind.SEND, deadline) as exchange:
        exchange.receive(source)
        exchange.run()
        return exchange.received[source][0]


def barrier(group: Group, deadline: float) -> None:
    with _star(group, Kind.BARRIER, deadline, HUB) as exchange:
        if group.rank == HUB:
            _collect(group, exchange, b"")
            _spread(exchange, dict.fromkeys(_others(group), b""))
        else:
            _contribute(exchange, HUB, b"", answers=1)


def bcast(group: Group, value: Value | None, root: int, deadline: float) -> Value:
    with _star(group, Kind.BCAST, deadline, root) as exchange:
        if group.rank != root:
            exchange.receive(root)
            exchange.run()
            return exchange.received[root][0]
        if value is None:
            raise TypeError("the root of a bcast gives the value")
        _spread(exchange, dict.fromkeys(_others(group), value))
        return value


def gather(
    group: Group, part: Value, root: int, deadline: float, *, allow_missing: bool, await_retries: bool = False
) -> Gathered | None:
    with _star(group, Kind.GATHER, deadline, root) as exchange:
        if group.rank != root:
            _contribute(exchange, root, part, answers=1)  # the answer is the receipt
            return None
        exchange.patient = await_retries
        exchange.on_received = lambda rank: exchange.send(rank, flags=Flag.RECEIPT)
        parts = _collect(group, exchange, part, tolerant=allow_missing)
        # A part that came is there, even if its receipt could not be sent.
        missing = {rank: error for rank, error in sorted(exchange.failed.items()) if parts[rank] is None}
        return Gathered(parts, missing)


def withdraw(group: Group, error: Exception, root: int, deadline: float) -> None:
    """In place of a gather: the root hears that no part will come, and why."""
    with group.exchange(Kind.GATHER, deadline) as exchange:
        exchange.send(root, abort_payload(error), Flag.ABORT)
        exchange.run(tolerant=True)


def allgather(group: Group, part: Value, deadline: float) -> list[Value]:
    with _star(group, Kind.ALLGATHER, deadline, HUB) as exchange:
        if group.rank != HUB:
            return _contribute(exchange, HUB, part, answers=group.world_size)
        parts = _complete(_collect(group, exchange, part))
        for value in parts:
            for rank in _others(group):
                exchange.send(rank, value)
        exchange.run()
        return parts


def scatter(group: Group, parts: Sequence[Value] | None, root: int, deadline: float) -> Value:
    with _star(group, Kind.SCATTER, deadline, root) as exchange:
        if group.rank != root:
            exchange.receive(root)
            exchange.run()
            return exchange.received[root][0]
        if parts is None or len(parts) != group.world_size:
            raise TypeError(f"the root of a scatter gives one part for each of {group.world_size} ranks")
        _spread(exchange, {rank: parts[rank] for rank in _others(group)})
        return parts[root]


def reduce(group: Group, value: Value, reduction: Reduction, root: int, deadline: float) -> Value | None:
    with _star(group, Kind.REDUCE, deadline, root) as exchange:
        if group.rank != root:
            _contribute(exchange, root, value, answers=0)
            return None
        return _fold(_complete(_collect(group, exchange, value)), reduction)


def allreduce(group: Group, value: Value, reduction: Reduction, deadline: float) -> Value:
    with _star(group, Kind.ALLREDUCE, deadline, HUB) as exchange:
        if group.rank != HUB:
            return _contribute(exchange, HUB, value, answers=1)[0]
        result = _fold(_complete(_collect(group, exchange, value)), reduction)
        _spread(exchange, dict.fromkeys(_others(group), result))
        return result


def scan(group: Group, value: Value, reduction: Reduction, deadline: float) -> Value:
    with _star(group, Kind.SCAN, deadline, HUB) as exchange:
        if group.rank != HUB:
            return _contribute(exchange, HUB, value, answers=1)[0]
        results = list(_prefixes(_complete(_collect(group, exchange, value)), reduction))
        _spread(exchange, {rank: results[rank] for rank in _others(group)})
        return results[HUB]


def _others(group: Group) -> list[int]:
    return [rank for rank in range(group.world_size) if rank != group.rank]


def _star(group: Group, kind: Kind, deadline: float, centre: int) -> Exchange:
    """The operation's exchange; if it fails at the centre, the centre tells everybody."""
    return group.exchange(kind, deadline, tell=_others(group) if group.rank == centre else ())


def _contribute(exchange: Exchange, centre: int, value: Value, *, answers: int) -> list[Value]:
    exchange.send(centre, value)
    for _ in range(answers):
        exchange.receive(centre)
    exchange.run()
    return exchange.received.get(centre, [])


def _collect(group: Group, exchange: Exchange, own: Value, *, tolerant: bool = False) -> list[Value | None]:
    """What every rank contributes, by rank; None, if tolerant, for those that failed."""
    for rank in _others(group):
        exchange.receive(rank)
    exchange.run(tolerant=tolerant)
    came = {rank: values[0] for rank, values in exchange.received.items()}
    return [own if rank == group.rank else came.get(rank) for rank in range(group.world_size)]


def _complete(parts: list[Value | None]) -> list[Value]:
    return [part for part in parts if part is not None]


def _spread(exchange: Exchange, values: dict[int, Value]) -> None:
    for rank, value in values.items():
        exchange.send(rank, value)
    exchange.run()


def _prefixes(values: list[Value], reduction: Reduction) -> Iterator[Value]:
    """The reduction of the first value, of the first two, ... The first is copied: no result is a caller's buffer."""
    first = values[0]
    own = np.array(first) if isinstance(first, np.ndarray | np.generic) else bytes(first)
    arrays = [np.asarray(value) if isinstance(value, np.generic) else value for value in values[1:]]
    return itertools.accumulate(arrays, reduction.combine, initial=own)


def _fold(values: list[Value], reduction: Reduction) -> Value:
    return deque(_prefixes(values, reduction), maxlen=1).pop()
