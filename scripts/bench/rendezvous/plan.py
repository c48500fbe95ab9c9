"""What is measured, how often, and in which order."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from scripts.bench.rendezvous.pairing import PairingCase
from scripts.bench.rendezvous.shapes import Shape


@dataclass(frozen=True, slots=True)
class RendezvousPlan:
    """What is measured, and how often."""

    rounds: int = 5
    pairings: int = 5_000  # of each round: about a second
    warm_up: int = 500  # pairings before the first round
    in_flight: tuple[int, ...] = (2, 50, 200)
    # Silent, slow and bytewise clients. Silent ones come last, since silence may stop a server.
    crowds: tuple[tuple[int, int, int], ...] = ((0, 100, 0), (0, 0, 100), (300, 0, 0), (300, 100, 100))
    worlds: tuple[int, ...] = (4, 64, 512, 4096, 10_000)
    shapes: tuple[Shape, ...] = tuple(Shape)  # of each of these worlds
    relay_bytes: int = 1 << 30  # about half a second

    def pairing_rounds(self, parts: Collection[str]) -> Iterator[list[PairingCase]]:
        """Yield cases that are measured one after the other.

        The first of several has no crowd, and the others are compared to it. Cases without any crowd come first of all,
        so that what a crowd does to a server spoils nothing.

        Args:
            parts: `pairing` stands for the cases without a crowd and `crowd` for the others.
        """
        if "pairing" in parts:
            for in_flight in self.in_flight:
                yield from [[PairingCase(in_flight)]] * self.rounds
        if "crowd" not in parts or not self.crowds:
            return
        for in_flight in self.in_flight:
            crowded = [PairingCase(in_flight, *crowd) for crowd in self.crowds]
            yield from [[PairingCase(in_flight), *crowded]] * self.rounds

    def steps(self, parts: Collection[str], servers: int, checkouts: int = 1) -> int:
        """Return how many rounds there are.

        Args:
            parts: Which parts are measured, by name.
            servers: How many take part in the pairing dialect, beside the bare exchange on uvloop.
            checkouts: Of how many checkouts groups are measured.
        """
        pairing = sum(len(cases) * servers + (len(cases) == 1) for cases in self.pairing_rounds(parts))  # bare uvloop
        group = len(list(self.groups())) * self.rounds * checkouts
        return pairing + group * ("group" in parts) + self.rounds * ("relay" in parts)

    def groups(self) -> Iterator[tuple[Shape, int]]:
        """Yield every world size in every shape."""
        for shape in self.shapes:
            for world_size in self.worlds:
                yield shape, world_size


QUICK = RendezvousPlan(rounds=2, pairings=1_000, warm_up=200, worlds=(4, 64, 512), relay_bytes=1 << 28)
