"""The operations but for reductions (reduce_collectives.py). Each is one `Exchange`. All ranks call the same in order.

What has a root of its own data (gather, scatter) is a star: a tree would only carry the same bytes further. A barrier
and a bcast go by star or tree, and a large value by pieces; an allgather directly wherever ranks have channels to each
other. `out`, where there is one, is a buffer for the result: it must have its form, and is what is returned.
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lambda_image.comm.channel.frames import FrameRefused
from lambda_image.comm.channel.sealing import Content
from lambda_image.comm.channel.signals import Flag, Kind, abort_payload
from lambda_image.comm.channel.values import Value, allocate, encode, size_of
from lambda_image.comm.closing import Closing
from lambda_image.comm.operations.cost_model import Algorithm
from lambda_image.comm.operations.exchange import Exchange
from lambda_image.comm.operations.group_context import GroupContext, delivered, others, star
from lambda_image.comm.operations.reduce_collectives import through
from lambda_image.comm.operations.reduction import Reduction
from lambda_image.comm.operations.trees import star_node, tree_node
from lambda_image.errors import CommunicationError, PeerClosed
from lambda_image.json_text import parse_json
from rendezvous_server.protocol import (
    ROOT,  # where operations without a root meet: connected to all others by any topology
)

_NOTHING = Reduction(lambda left, right: b"")
_PIECES = int(Flag.PIECES)
# Bytes. The root of a gather takes parts in turn, which wakes it least. Of larger ones a turn lasts longer than what a
# sender's buffers hold, so that the other ranks would wait for it.
LARGEST_IN_TURN = 2 << 20


@dataclass(frozen=True, slots=True)
class Gathered:
    """Holds what the root of a gather has.

    Attributes:
        parts: The parts by rank, with None where one is missing.
        missing: Why, by rank, for each part that is missing. There are none unless the gather allows it.
        transports: The name of the Transport that brought each part, by rank. The root's own part has none.
    """

    parts: list[Any]
    missing: dict[int, CommunicationError] = field(default_factory=dict)
    transports: dict[int, str] = field(default_factory=dict, compare=False)


def send(group: GroupContext, value: Value, to: int, deadline: float) -> None:
    with group.exchange(Kind.SEND, deadline) as exchange:
        exchange.send(to, value, wait=True)
        exchange.run()


def recv(group: GroupContext, source: int, deadline: float, out: Value | None = None) -> Value:
    with group.exchange(Kind.SEND, deadline) as exchange:
        exchange.receive(source, out)
        exchange.run()
        return delivered(exchange.received[source][0], out)


def barrier(group: GroupContext, deadline: float) -> None:
    if group.choose(Kind.BARRIER, 0) is Algorithm.TREE:
        through(group, Kind.BARRIER, Algorithm.TREE, ROOT, b"", _NOTHING, deadline)
        return
    with star(group, Kind.BARRIER, deadline, ROOT) as exchange:
        if group.rank != ROOT:
            exchange.send(ROOT)
            exchange.receive(ROOT)
            exchange.run()
            return
        for rank in others(group):
            exchange.receive(rank)
        exchange.run()
        for rank in others(group):
            exchange.send(rank)
        exchange.run()


def gather(
    group: GroupContext,
    part: Value,
    root: int,
    deadline: float,
    *,
    allow_missing: bool,
    await_retries: bool = False,
    confirm: bool = True,
    out: Sequence[Value] | None = None,
    closing: Closing | None = None,
) -> Gathered | None:
    with star(group, Kind.GATHER, deadline, root) as exchange:
        if group.rank != root:
            exchange.send(root, part, _CONFIRM if confirm else 0, wait=True)
            if confirm:
                exchange.receive(root)  # the receipt
            exchange.run()
            return None

        transports: dict[int, str] = {}

        def arrived(rank: int, value: Value, flags: int) -> None:
            transports[rank] = str(exchange.channel(rank).transport)  # now: a newer attempt may take its place
            if flags & _CONFIRM:
                exchange.answer(rank, _RECEIPT)

        exchange.await_retries, exchange.on_received, exchange.closing = await_retries, arrived, closing
        out_buffers = _out_buffers(group, out)
        exchange.expect_from_all(size_of(part), LARGEST_IN_TURN)
        for rank in others(group):
            exchange.receive(rank, out_buffers[rank])
        if closing is None:
            exchange.run(tolerant=allow_missing)
        else:
            with _closed_by(closing, group):
                exchange.run(tolerant=allow_missing)
        came = {rank: delivered(values[0], out_buffers[rank]) for rank, values in exchange.received.items()}
        parts = [part if rank == root else came.get(rank) for rank in range(group.world_size)]
        # A part that came is there, even if its receipt could not be sent.
        missing = {rank: error for rank, error in sorted(exchange.failed.items()) if parts[rank] is None}
        return Gathered(parts, missing, transports)


@contextmanager
def _closed_by(closing: Closing, group: GroupContext) -> Iterator[None]:
    """Who sets the end wakes the thread that waits."""
    closing.listen(group.wakeup.notify)
    try:
        yield
    finally:
        closing.listen(None)


def withdraw(group: GroupContext, error: Exception, root: int, deadline: float) -> None:
    """In place of a gather: the root hears that no part will come, and why."""
    with group.exchange(Kind.GATHER, deadline) as exchange:
        exchange.send(root, abort_payload(error), Flag.ABORT)
        exchange.run(tolerant=True)


def allgather(group: GroupContext, part: Value, deadline: float, out: Sequence[Value] | None = None) -> list[Value]:
    everyone = range(group.world_size)
    if group.star_only:
        return _allgather_by_star(group, part, deadline, out)
    with group.exchange(Kind.ALLGATHER, deadline, abort_to=others(group)) as exchange:
        out_buffers = _out_buffers(group, out)
        exchange.watch_aborts = True
        exchange.expect_from_all(size_of(part))
        for_all = group.for_all(exchange, part)
        for rank in others(group):
            exchange.receive(rank, out_buffers[rank])
            exchange.send(rank, for_all)
        exchange.run()
        came = {rank: group.opened(exchange, rank, values[0], rank) for rank, values in exchange.received.items()}
        return [part if rank == group.rank else delivered(came[rank], out_buffers[rank]) for rank in everyone]


def _allgather_by_star(group: GroupContext, part: Value, deadline: float, out: Sequence[Value] | None) -> list[Value]:
    with star(group, Kind.ALLGATHER, deadline, ROOT) as exchange:
        out_buffers = _out_buffers(group, out)
        if group.rank != ROOT:
            sources = [rank for rank in range(group.world_size) if rank != group.rank]
            exchange.send(ROOT, part)
            for rank in sources:
                exchange.receive(ROOT, out_buffers[rank])
            exchange.run()
            values = zip(sources, exchange.received[ROOT], strict=True)
            came = {rank: group.opened(exchange, ROOT, value, rank) for rank, value in values}
            return [
                part if rank == group.rank else delivered(came[rank], target) for rank, target in enumerate(out_buffers)
            ]
        for rank in others(group):
            exchange.receive(rank, out_buffers[rank])
        exchange.run()
        came = {rank: group.opened(exchange, rank, values[0], rank) for rank, values in exchange.received.items()}
        parts = [part if rank == ROOT else delivered(came[rank], target) for rank, target in enumerate(out_buffers)]
        for source, value in enumerate(parts):
            for rank in others(group):
                if rank != source:
                    exchange.send(rank, value)
        exchange.run()
        return parts


def scatter(
    group: GroupContext, parts: Sequence[Value] | None, root: int, deadline: float, out: Value | None = None
) -> Value:
    with star(group, Kind.SCATTER, deadline, root) as exchange:
        if group.rank != root:
            exchange.receive(root, out)
            exchange.run()
            return delivered(exchange.received[root][0], out)
        if parts is None or len(parts) != group.world_size:
            raise TypeError(f"the root of a scatter gives one part for each of {group.world_size} ranks")
        for rank in others(group):
            exchange.send(rank, parts[rank])
        exchange.run()
        return delivered(parts[root], out)


def bcast(group: GroupContext, value: Value | None, root: int, deadline: float, out: Value | None = None) -> Value:
    """Who waits knows neither size nor algorithm: it waits for the rank from which small values come, which may send
    the value or, flagged, what pieces of it will come from whom.
    """
    small = group.choose(Kind.BCAST, 0)
    here = (tree_node if small is Algorithm.TREE else star_node)(group.rank, root, group.world_size)
    with group.exchange(Kind.BCAST, deadline, abort_to=here.neighbours if here.children else ()) as exchange:
        if here.parent is not None:
            receiver = _BcastReceiver(group, exchange, root, here.neighbours[1:], out)
            if here.children:
                group.pass_on(exchange)
            exchange.on_received = receiver.arrived
            exchange.receive(here.parent, out)
            exchange.run()
            return delivered(receiver.value, out)
        if value is None:
            raise TypeError("the root of a bcast gives the value")
        in_pieces = group.bcasts_in_pieces(size_of(value))
        first = _announcement(value) if in_pieces else group.for_all(exchange, value)
        for child in here.children:
            exchange.send(child.rank, first, _PIECES if in_pieces else 0)
        if in_pieces:
            exchange.abort_to, exchange.watch_aborts = others(group), True
            whole = np.frombuffer(encode(value)[1][0], np.uint8)
            for rank, piece in _pieces(group.world_size, root, whole.size).items():
                exchange.send(rank, whole[piece], _PIECES)
        exchange.run()
        return value


class _BcastReceiver:
    def __init__(
        self, group: GroupContext, exchange: Exchange, root: int, children: Sequence[int], out: Value | None
    ) -> None:
        self._group, self._exchange, self._root, self._children, self._out = group, exchange, root, children, out
        self._whole: np.ndarray | None = None  # bytes of a value that comes in pieces
        self._pieces: dict[int, slice] = {}
        self.value: Value = b""

    def arrived(self, rank: int, content: Content, flags: int) -> None:
        value = self._group.opened(self._exchange, rank, content, self._root if self._whole is None else rank)
        if self._whole is not None:
            self._piece(rank, value)
            return
        for child in self._children:
            self._exchange.send(child, content, flags)
        if flags & _PIECES:
            self._announced(rank, value)
        else:
            self.value = value

    def _announced(self, rank: int, announcement: Value) -> None:
        most = self._exchange.channel(rank).max_payload
        try:
            meta, size = parse_json(b"".join(encode(announcement)[1]))
            if type(size) is not int or not 0 <= size <= most:
                raise FrameRefused(f"a value of {size} bytes; at most {most}")
            value, view = allocate(meta.encode(), size, self._group.memory.empty)
        except (FrameRefused, ValueError, TypeError, AttributeError) as error:
            raise self._exchange.error(PeerClosed, rank, f"announces what cannot be taken: {error}") from error
        if self._out is not None:
            form, target = encode(self._out)
            if (form.decode(), sum(map(len, target))) == (meta, size):
                value, view = self._out, target[0]
        self.value, self._whole = value, np.frombuffer(view, np.uint8)
        self._pieces = _pieces(self._group.world_size, self._root, size)
        self._exchange.abort_to, self._exchange.watch_aborts = others(self._group), True
        for rank in others(self._group):
            source = self._group.rank if rank == self._root else rank  # the root sends this rank's own piece
            self._exchange.receive(rank, self._whole[self._pieces[source]])

    def _piece(self, source: int, value: Value) -> None:
        assert self._whole is not None
        own = source == self._root
        delivered(value, self._whole[self._pieces[self._group.rank if own else source]])
        if own:
            for_all = self._group.for_all(self._exchange, value, _PIECES)
            for rank in others(self._group):
                if rank != self._root:
                    self._exchange.send(rank, for_all, _PIECES)


def _announcement(value: Value) -> bytes:
    return json.dumps([encode(value)[0].decode(), size_of(value)]).encode()


def _pieces(world_size: int, root: int, size: int) -> dict[int, slice]:
    """Of so many bytes: which go to each rank but the root."""
    ranks = [rank for rank in range(world_size) if rank != root]
    cuts = [number * size // len(ranks) for number in range(len(ranks) + 1)]
    return {rank: slice(low, high) for rank, (low, high) in zip(ranks, itertools.pairwise(cuts), strict=True)}


def _out_buffers(group: GroupContext, out: Sequence[Value] | None) -> Sequence[Value | None]:
    if out is None:
        return [None] * group.world_size
    if len(out) != group.world_size:
        raise ValueError(f"out has {len(out)} buffers; there are {group.world_size} ranks")
    return out


_RECEIPT, _CONFIRM = int(Flag.RECEIPT), int(Flag.CONFIRM)
