"""What is measured, and how often."""

from dataclasses import dataclass

PARTS = ("init", "rank", "summarize", "run")  # each measured by a function in measure.py


@dataclass(frozen=True)
class ScalePlan:
    """The sizes of the runs."""

    objects: tuple[int, ...] = (10, 1_000, 100_000, 1_000_000)
    ranks: tuple[int, ...] = (64, 512, 2_048, 10_000)  # of the runs; Init deals to the most of them
    loads: tuple[int, ...] = (10_000, 1_000_000, 4_000_000)  # galaxies of the single rank that is measured
    rows: int = 10_000  # galaxies of each of its partitions
    galaxies: int = 10_000  # of each rank of the runs
    gather_limit: int | None = None  # of the runs, in bytes, up to which tables travel; None for that of any run
    answer_s: float = 0.1  # that a listing's answer is held back: S3 is not on loopback
    rounds: int = 3
    run_rounds: int = 1  # of whole runs, of which the largest takes minutes
    limit_s: float = 900.0  # of a part in one size

    def world_size(self, objects: int) -> int:
        """Return to how many ranks so many objects are dealt."""
        return min(objects, max(self.ranks))

    def rounds_of(self, part: str) -> int:
        """Return how often each size of a part is measured."""
        return self.run_rounds if part == "run" else self.rounds

    def labels(self, part: str) -> list[dict[str, int]]:
        """Return what is told of each size of a part, first the size itself."""
        if part == "init":
            return [{"objects": objects, "ranks": self.world_size(objects)} for objects in self.objects]
        if part == "rank":
            return [{"galaxies": galaxies} for galaxies in self.loads]
        return [{"ranks": ranks, "galaxies": ranks * self.galaxies} for ranks in self.ranks]


QUICK = ScalePlan(objects=(10, 20_000), ranks=(8, 300), loads=(100, 30_000), galaxies=100, rounds=1)
