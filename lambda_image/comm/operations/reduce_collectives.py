"""reduce, allreduce and scan. The algorithm follows from what all ranks know (cost_model.py); the bits do not.

A rank whose contribution comes by another algorithm than this one's has another array. Then the operation fails at all.
"""

import itertools

import numpy as np

from lambda_image.comm.channel.memory import Memory
from lambda_image.comm.channel.sealing import SEALED, Content
from lambda_image.comm.channel.signals import Flag, Kind
from lambda_image.comm.channel.values import Value, encode, size_of
from lambda_image.comm.operations.cost_model import Algorithm
from lambda_image.comm.operations.group_context import GroupContext, check_fit, delivered, others
from lambda_image.comm.operations.reduction import Folding, Reduction, prefixes
from lambda_image.comm.operations.trees import star_node, tree_node
from rendezvous_server.protocol import (
    ROOT,  # where operations without a root meet: connected to all others by any topology
)

_DIVISIBLE_KINDS = "?biufcmM"  # dtypes whose arrays can be reduced in pieces: those that a reduction by items keeps
_FLAGS = {Algorithm.STAR: Flag.NONE, Algorithm.TREE: Flag.TREE, Algorithm.PIECES: Flag.PIECES}


def reduce(
    group: GroupContext, value: Value, reduction: Reduction, root: int, deadline: float, out: Value | None = None
) -> Value | None:
    value = plain(value)
    algorithm = _choice(group, Kind.REDUCE, value, reduction)
    if algorithm is Algorithm.PIECES:
        return _in_pieces(group, Kind.REDUCE, value, reduction, root, deadline, out)
    return through(group, Kind.REDUCE, algorithm, root, value, reduction, deadline, out)


def allreduce(
    group: GroupContext, value: Value, reduction: Reduction, deadline: float, out: Value | None = None
) -> Value:
    value = plain(value)
    algorithm = _choice(group, Kind.ALLREDUCE, value, reduction)
    if algorithm is Algorithm.PIECES:
        result = _in_pieces(group, Kind.ALLREDUCE, value, reduction, None, deadline, out)
    else:
        result = through(group, Kind.ALLREDUCE, algorithm, ROOT, value, reduction, deadline, out)
    assert result is not None
    return result


def scan(group: GroupContext, value: Value, reduction: Reduction, deadline: float, out: Value | None = None) -> Value:
    value = plain(value)
    if _choice(group, Kind.SCAN, value, reduction) is Algorithm.PIECES:
        result = _in_pieces(group, Kind.SCAN, value, reduction, None, deadline, out)
        assert result is not None
        return result
    with group.exchange(Kind.SCAN, deadline, abort_to=others(group) if group.rank == ROOT else (ROOT,)) as exchange:
        _check_out(value, out)
        exchange.on_received = lambda rank, _, flags: _check_algorithm(rank, flags, 0)
        if group.rank != ROOT:
            exchange.send(ROOT, value)
            exchange.receive(ROOT, out)
            exchange.run()
            return delivered(exchange.received[ROOT][0], out)
        for rank in others(group):
            exchange.receive(rank)
        exchange.run()
        values = [value, *(exchange.received[rank][0] for rank in range(1, group.world_size))]
        results = prefixes(values, reduction)
        for rank in others(group):
            exchange.send(rank, results[rank])
        exchange.run()
        return delivered(_own_copy(value), out)


def through(
    group: GroupContext,
    kind: Kind,
    algorithm: Algorithm,
    root: int,
    value: Value,
    reduction: Reduction,
    deadline: float,
    out: Value | None = None,
) -> Value | None:
    """Along a star or a tree to the root and, but for a reduce, back. The result where it is due, otherwise None."""
    here = (tree_node if algorithm is Algorithm.TREE else star_node)(group.rank, root, group.world_size)
    back, flag = kind is not Kind.REDUCE, int(_FLAGS[algorithm])
    is_root = here.parent is None
    abort_to = others(group) if is_root else here.neighbours
    with group.exchange(kind, deadline, abort_to=abort_to) as exchange:
        if is_root or back:
            _check_out(value, out)
        final = out if is_root and isinstance(out, np.ndarray) else None
        folding = Folding(group.world_size, reduction, here.part, final)
        parts = {child.rank: child.part for child in here.children}

        def folded() -> None:
            assert folding.result is not None
            if here.parent is not None:
                exchange.send(here.parent, folding.result, flag, wait=True)
            elif back:
                spread(group.for_all(exchange, folding.result, flag))

        def spread(result: Content) -> None:
            for child in here.children:
                exchange.send(child.rank, result, flag)

        def arrived(rank: int, arrival: Content, flags: int) -> None:
            _check_algorithm(rank, flags, flag)
            if rank == here.parent:
                spread(arrival)
            elif folding.put(parts[rank], group.opened(exchange, rank, arrival, rank), owned=True):
                folded()

        exchange.on_received, exchange.watch_aborts = arrived, algorithm is Algorithm.TREE
        for child in here.children:
            exchange.receive(child.rank, _contribution_buffer(group.memory, value, reduction))
        if back and here.parent is not None:
            exchange.receive(here.parent, out)
            if here.children:
                group.pass_on(exchange)
        if folding.put((group.rank, group.rank + 1), value, owned=False):
            folded()
        exchange.run()
        if here.parent is not None:
            if not back:
                return None
            return delivered(group.opened(exchange, here.parent, exchange.received[here.parent][0], root), out)
        assert folding.result is not None
        return delivered(_own_copy(folding.result) if folding.result is value else folding.result, out)


def _in_pieces(
    group: GroupContext,
    kind: Kind,
    value: Value,
    reduction: Reduction,
    root: int | None,
    deadline: float,
    out: Value | None,
) -> Value | None:
    """Each rank reduces its own piece of the array and gives it to those who want it: to the root, or to all."""
    assert isinstance(value, np.ndarray)
    rank, flag = group.rank, int(Flag.PIECES)
    flat = np.ascontiguousarray(value).reshape(-1)
    cuts = [number * flat.size // group.world_size for number in range(group.world_size + 1)]
    pieces = [slice(low, high) for low, high in itertools.pairwise(cuts)]
    wanted = root is None or root == rank
    with group.exchange(kind, deadline, abort_to=others(group)) as exchange:
        if wanted:
            _check_out(value, out)
        result = (
            out if isinstance(out, np.ndarray) else group.memory.empty(value.shape if wanted else (0,), value.dtype)
        )
        whole = result.reshape(-1)
        mine = flat[pieces[rank]]
        contributions: dict[int, Value] = {}
        here = whole[pieces[rank]] if wanted else None
        folding = Folding(group.world_size, reduction, (0, group.world_size), here)

        def contribute(source: int, contribution: Value) -> None:
            if kind is Kind.SCAN:
                contributions[source] = contribution
                if len(contributions) == group.world_size:
                    spread(prefixes([contributions[peer] for peer in range(group.world_size)], reduction))
            elif folding.put((source, source + 1), contribution, owned=source != rank):
                assert folding.result is not None
                spread([folding.result] * group.world_size)

        def spread(results: list[Value]) -> None:
            same = None if root is not None or kind is Kind.SCAN else group.for_all(exchange, results[rank], flag)
            for peer in others(group) if root is None else [root]:
                if peer != rank:
                    exchange.send(peer, results[peer] if same is None else same, flag)
            if here is not None and results[rank] is not here:
                here[:] = results[rank]

        def arrived(source: int, arrival: Content, flags: int) -> None:
            _check_algorithm(source, flags, flag)
            value = group.opened(exchange, source, arrival, source)
            if len(exchange.received[source]) == 1:
                contribute(source, value)
            else:
                delivered(value, whole[pieces[source]])

        exchange.on_received, exchange.watch_aborts = arrived, True
        exchange.expect_from_all(mine.nbytes)
        for peer in others(group):
            exchange.receive(peer, group.memory.like(mine))
            if wanted:
                exchange.receive(peer, whole[pieces[peer]])
            exchange.send(peer, flat[pieces[peer]], flag)
        contribute(rank, mine)
        exchange.run()
        return result if wanted else None


def plain(value: Value) -> Value:
    return np.asarray(value) if isinstance(value, np.generic) else value


def _choice(group: GroupContext, kind: Kind, value: Value, reduction: Reduction) -> Algorithm:
    divisible = reduction.by_items and isinstance(value, np.ndarray) and value.dtype.kind in _DIVISIBLE_KINDS
    if type(value) is not np.ndarray and divisible:  # so that numpy.ma is not imported for nothing
        divisible = not isinstance(value, np.ma.MaskedArray)  # whose mask no piece would have: `encode` refuses it
    return group.choose(kind, size_of(value), associative=reduction.associative, divisible=divisible)


def _check_out(value: Value, out: Value | None) -> None:
    """Within the exchange, so that the others hear of it."""
    if out is not None and isinstance(value, np.ndarray):
        check_fit(value, out)


def _check_algorithm(rank: int, flags: int, flag: int) -> None:
    if flags & ~SEALED != flag:
        raise ValueError(f"rank {rank} contributes an array of another size, or names another reduction")


def _contribution_buffer(memory: Memory, value: Value, reduction: Reduction) -> np.ndarray | None:
    """For a contribution like this one; None where the caller's function might keep it."""
    return memory.like(value) if reduction.ufunc is not None and isinstance(value, np.ndarray) else None


def _own_copy(value: Value) -> Value:
    """No result is a caller's own buffer."""
    return value.copy() if isinstance(value, np.ndarray) else bytearray(b"".join(encode(value)[1]))
