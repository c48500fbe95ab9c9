"""Which algorithm an operation takes. It follows only from what all ranks know, so that all choose the same.

    star    everything goes through one rank
    tree    a binomial tree (trees.py): few steps for many ranks
    pieces  every rank has charge of a piece of the array, of which it gets all contributions and spreads the result:
            each rank moves about as much as any other, however many there are

The estimates are those of the usual linear model (Hockney's, with the sender's overhead kept apart, as in LogP), for
ranks that do not share a processor. Where they do, what all of them do together counts, too: there pieces gain nothing,
and their many messages cost. `cosmicai bench comm --calibrate` measures the constants.
"""

import functools
from dataclasses import dataclass
from enum import Enum
from math import ceil, log2

from lambda_image.comm.channel.signals import Kind


class Algorithm(Enum):
    """Names the algorithms above."""

    STAR = "star"
    TREE = "tree"
    PIECES = "pieces"


@dataclass(frozen=True, slots=True)
class Costs:
    """The constants of the model, in seconds."""

    latency: float  # from a rank that sends to one that waits, without what both do themselves
    message: float  # a rank's own time for one message, sent or received
    byte: float  # the same for each byte, encryption included
    combine: float  # for each byte of two arrays that are added


# Loopback on two cores of an EPYC 9005, encrypted.
MEASURED = Costs(latency=37e-6, message=15e-6, byte=0.3e-9, combine=0.06e-9)


def choose(
    kind: Kind,
    world_size: int,
    size: int,
    *,
    star_only: bool = False,
    associative: bool = True,
    divisible: bool = False,
    processors: int | None = None,
    costs: Costs = MEASURED,
) -> Algorithm:
    """Choose the algorithm for `size` bytes at each rank. With `divisible` it may be done piece by piece.

    `processors` is how many all ranks share, for a bcast, whose root alone decides; None if each has its own.

    Raises ValueError for kinds of operations without a choice.
    """
    if star_only or not associative or world_size < 3:
        return Algorithm.STAR
    other = None if costs is MEASURED else costs  # None has a cheaper hash
    return _choose(kind, world_size, size, divisible, processors, other)


@functools.lru_cache(256)
def _choose(
    kind: Kind, world_size: int, size: int, divisible: bool, processors: int | None, other: Costs | None
) -> Algorithm:
    costs = other or MEASURED
    times = estimates(kind, world_size, size, costs)
    if processors is not None:
        work = bcast_work(world_size, size, costs)
        times = {algorithm: max(seconds, work[algorithm] / processors) for algorithm, seconds in times.items()}
    if not divisible:
        times.pop(Algorithm.PIECES, None)
    return min(times, key=lambda algorithm: times[algorithm])


def estimates(kind: Kind, world_size: int, size: int, costs: Costs) -> dict[Algorithm, float]:
    """Seconds until the last rank has its result, by algorithm."""
    peers, depth = world_size - 1, ceil(log2(world_size))
    moved = costs.message + size * costs.byte
    combined = size * costs.combine
    piece = costs.message + size / world_size * costs.byte  # sent or received
    one_way = {
        Algorithm.STAR: costs.latency + peers * moved,
        Algorithm.TREE: depth * (costs.latency + 2 * moved),
    }
    match kind:
        case Kind.BARRIER:
            return {algorithm: 2 * seconds for algorithm, seconds in one_way.items()}
        case Kind.BCAST:
            small = min(estimates(kind, world_size, 0, costs).values()) if size else 0.0
            spread = 2 * costs.latency + peers * piece + 2 * peers * piece  # out of the root; then each to each
            return {**one_way, Algorithm.PIECES: small + spread}
        case Kind.REDUCE:
            folded = {Algorithm.STAR: peers * combined, Algorithm.TREE: depth * combined}
            ways = {algorithm: seconds + folded[algorithm] for algorithm, seconds in one_way.items()}
            pieces = 2 * costs.latency + 3 * peers * piece + peers / world_size * combined
            return {**ways, Algorithm.PIECES: pieces}
        case Kind.ALLREDUCE:
            folded = {Algorithm.STAR: peers * combined, Algorithm.TREE: depth * combined}
            ways = {algorithm: 2 * seconds + folded[algorithm] for algorithm, seconds in one_way.items()}
            pieces = 2 * costs.latency + 4 * peers * piece + peers / world_size * combined
            return {**ways, Algorithm.PIECES: pieces}
        case Kind.SCAN:
            steps = peers * (1 + depth / 2)  # combinations that all prefixes together take
            star = 2 * (costs.latency + peers * moved) + steps * combined
            pieces = 2 * costs.latency + 4 * peers * piece + steps / world_size * combined
            return {Algorithm.STAR: star, Algorithm.PIECES: pieces}
        case _:
            raise ValueError(f"a {kind.name.lower()} has no choice of algorithms")


def bcast_work(world_size: int, size: int, costs: Costs) -> dict[Algorithm, float]:
    """Seconds of processor time that a bcast takes at all ranks together, by algorithm."""
    peers = world_size - 1
    whole = 2 * peers * (costs.message + size * costs.byte)  # each rank but the root receives it, from one that sends
    announced = 2 * peers * costs.message
    pieces = announced + 2 * peers * (peers * costs.message + size * costs.byte)  # each rank receives as many pieces
    return {Algorithm.STAR: whole, Algorithm.TREE: whole, Algorithm.PIECES: pieces}
