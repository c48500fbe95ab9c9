"""What operations are made of: the group as one rank sees it, and the buffers that a result may go to."""

import functools
from collections.abc import Iterable
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from lambda_image.comm.channel.signals import Kind
from lambda_image.comm.channel.values import Value, encode
from lambda_image.comm.operations.cost_model import Algorithm
from lambda_image.comm.operations.exchange import Exchange

# Memory that stays with a communicator between operations. Fresh pages cost several times what filling them over
# loopback does (0.5 GB/s are cleared in a virtual machine where 4 GB/s are received).
SCRATCH_KEPT = 64 << 20


class GroupContext(Protocol):
    """`exchange` gives the next operation its number."""

    @property
    def rank(self) -> int: ...
    @property
    def world_size(self) -> int: ...
    @property
    def star_only(self) -> bool:
        """Whether only rank 0 has channels to all others."""

    @property
    def scratch(self) -> "Scratch": ...
    def choose(self, kind: Kind, size: int, *, associative: bool = True, divisible: bool = False) -> Algorithm:
        """See cost_model.py."""

    def exchange(self, kind: Kind, deadline: float, *, abort_to: Iterable[int] = ()) -> Exchange: ...


class Scratch:
    """Arrays for what other ranks contribute: borrowed in a `with` block, which takes them back unless it fails."""

    def __init__(self) -> None:
        self._free: list[np.ndarray] = []
        self._lent: list[tuple[np.ndarray, np.ndarray]] = []  # as lent, and the bytes under it

    def like(self, array: np.ndarray) -> np.ndarray:
        """Uninitialised."""
        size = array.nbytes
        index = next((i for i, free in enumerate(self._free) if free.nbytes == size), None)
        memory = np.empty(size, np.uint8) if index is None else self._free.pop(index)
        lent = memory.view(array.dtype).reshape(array.shape) if size else np.empty_like(array)
        self._lent.append((lent, memory))
        return lent

    def keep(self, value: object) -> None:
        """It goes to the caller."""
        self._lent = [(lent, memory) for lent, memory in self._lent if lent is not value]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._free = [memory for _, memory in self._lent] + self._free  # sizes in use now first
            while sum(memory.nbytes for memory in self._free) > SCRATCH_KEPT:
                self._free.pop()
        self._lent = []


def others(group: GroupContext) -> tuple[int, ...]:
    """All other ranks, the next one first: so that not all turn to rank 0 at once."""
    return _others(group.rank, group.world_size)


@functools.lru_cache(256)
def _others(rank: int, world_size: int) -> tuple[int, ...]:
    return tuple((rank + step) % world_size for step in range(1, world_size))


def star(group: GroupContext, kind: Kind, deadline: float, centre: int) -> Exchange:
    """An operation's exchange; if it fails at the centre, the centre tells everybody."""
    return group.exchange(kind, deadline, abort_to=others(group) if group.rank == centre else ())


def delivered(value: Value, out: Value | None) -> Value:
    """The value, in `out` if that was given. Raises ValueError if it does not fit."""
    if out is None or value is out:
        return value
    check_fit(value, out)
    targets = encode(out)[1]
    for target, source in zip(targets, encode(value)[1], strict=True):
        target[:] = source
    return out


def check_fit(value: Value, out: Value) -> None:
    if isinstance(out, np.ndarray) and not (out.flags.c_contiguous and out.flags.writeable):
        raise ValueError("out must be writable and C-contiguous")
    (meta, views), (wanted, targets) = encode(value), encode(out)
    if any(view.readonly for view in targets):
        raise ValueError("out must be writable")
    if (meta, sum(map(len, views))) != (wanted, sum(map(len, targets))):
        raise ValueError(f"out has room for {_form(wanted, targets)}; the value is {_form(meta, views)}")


def _form(meta: bytes, views: list[memoryview]) -> str:
    return meta.decode() if meta else f"{sum(map(len, views))} bytes"
