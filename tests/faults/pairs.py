"""Two faults in one run, drawn by a seed."""

from hashlib import blake2b

from tests.faults.catalogue import EVERY, GROUPS
from tests.faults.fault import Fault


def pair(seed: int) -> tuple[Fault, Fault]:
    """Draws two faults that can meet.

    Every fault draws a lot of its own, and the two lowest lots that can meet win. So a fault that is added to the
    catalogue takes its share of the seeds, and most other seeds keep their pairs.
    """
    together = [fault for _, fault in EVERY if not fault.alone]
    one, *others = sorted(together, key=lambda fault: blake2b(f"{seed} {fault.name}".encode()).digest())
    return one, next(other for other in others if can_meet(one, other))


def can_meet(one: Fault, other: Fault) -> bool:
    """Tells whether there is a place for both. The rendezvous servers that are harmed are on the loopback."""
    servers = GROUPS["the rendezvous server"]
    return one.place == other.place or not (one in servers or other in servers)
