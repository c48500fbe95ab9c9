"""What is measured, how often, and in which order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from scripts.bench.inference.contenders import PUBLISHED


@dataclass(frozen=True, slots=True)
class InferencePlan:
    """How often what is measured, and for how long."""

    rounds: int = 5
    batch_sizes: tuple[int, ...] = (64, 128, 256, 512)
    seconds: float = 0.6  # of one contender's turn: hundreds of samples, and short against a machine's moods
    published_batch_size: int = 512  # the published default; its loop is a baseline, not a contender
    galaxies: int = 1024  # 21 MB, nearly the published 25 MB partition
    cold_starts: int = 3

    def turns(self, names: Sequence[str]) -> Iterator[tuple[str, int]]:
        """Yield one round, in which every contender has its turn at every batch size."""
        for batch_size in self.batch_sizes:
            for name in names:
                if name != PUBLISHED:
                    yield name, batch_size
        if PUBLISHED in names:
            yield PUBLISHED, self.published_batch_size

    def for_a_gpu(self) -> "InferencePlan":
        """Return the plan with larger batches, as a GPU is filled by thousands of galaxies."""
        return replace(self, batch_sizes=tuple(16 * size for size in self.batch_sizes), galaxies=16 * self.galaxies)

    def steps(self, names: Sequence[str]) -> int:
        """Return how many turns and starts there are."""
        return self.rounds * (1 + len(list(self.turns(names)))) + self.cold_starts * (1 + len(names))


QUICK = InferencePlan(rounds=3, batch_sizes=(128,), seconds=0.3, published_batch_size=128, galaxies=256, cold_starts=1)
