"""What is measured, and how often."""

from dataclasses import dataclass

PARTS = ("init", "rank", "summarize")  # each measured by a function in measure.py


@dataclass(frozen=True)
class ScalePlan:
    """The sizes of the runs."""

    objects: tuple[int, ...] = (10, 1_000, 100_000, 1_000_000)
    ranks: int = 10_000  # at most; where there are fewer objects, each has a rank
    loads: tuple[int, ...] = (10_000, 1_000_000, 4_000_000)  # galaxies of the single rank that is measured
    runs: tuple[int, ...] = (64, 512, 2_048, 10_000)  # ranks of the runs that Summarize judges
    galaxies: int = 10_000  # of each rank
    answer_s: float = 0.1  # that a listing's answer is held back: S3 is not on loopback
    rounds: int = 3
    limit_s: float = 900.0  # of a part in one size

    def world_size(self, objects: int) -> int:
        """Return to how many ranks so many objects are dealt."""
        return min(objects, self.ranks)

    def labels(self, part: str) -> list[dict[str, int]]:
        """Return what is told of each size of a part, first the size itself."""
        if part == "summarize":
            return [{"ranks": ranks, "galaxies": ranks * self.galaxies} for ranks in self.runs]
        if part == "rank":
            return [{"galaxies": galaxies} for galaxies in self.loads]
        return [{"objects": objects, "ranks": self.world_size(objects)} for objects in self.objects]


QUICK = ScalePlan(objects=(10, 20_000), ranks=100, loads=(100, 30_000), runs=(8, 64), galaxies=100, rounds=1)
