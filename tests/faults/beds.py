"""A bed for each place where runs take place, made when the first run takes place there."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.faults.bed import RANKS, Bed, bed
from tests.faults.fault import Fault, Place

QUOTA = ("--concurrency", str(RANKS - 1), "--waking", "1.5")


class Beds:
    """All beds, which end with `beds`."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._made: dict[Place, Bed] = {}

    def of(self, faults: Sequence[Fault]) -> Bed:
        """The bed in which these faults can be played together."""
        (place,) = {fault.place for fault in faults} - {Place.LOOPBACK} or {Place.LOOPBACK}
        if place not in self._made:
            folder = self._folder / place
            folder.mkdir()
            flags = QUOTA if place is Place.QUOTA else ()
            self._made[place] = self._stack.enter_context(bed(folder, *flags, on_hosts=place is Place.HOSTS))
        return self._made[place]


@contextmanager
def beds(folder: Path) -> Iterator[Beds]:
    """Ends every process of all beds."""
    with ExitStack() as stack:
        yield Beds(folder, stack)
