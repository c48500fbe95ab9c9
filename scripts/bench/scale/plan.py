"""What is measured, and how often."""

from dataclasses import dataclass

PARTS = ("init",)  # each measured by a function in measure.py


@dataclass(frozen=True)
class ScalePlan:
    """The sizes of the runs."""

    objects: tuple[int, ...] = (10, 1_000, 100_000, 1_000_000)
    ranks: int = 10_000  # at most; where there are fewer objects, each has a rank
    answer_s: float = 0.1  # that a listing's answer is held back: S3 is not on loopback
    rounds: int = 3
    limit_s: float = 900.0  # of a part in one size

    def world_size(self, objects: int) -> int:
        """Return to how many ranks so many objects are dealt."""
        return min(objects, self.ranks)


QUICK = ScalePlan(objects=(10, 20_000), ranks=100, rounds=1)
