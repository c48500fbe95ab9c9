"""How long to wait before something that failed is tried again."""

import random
from collections.abc import Callable
from dataclasses import dataclass

_LARGEST_EXPONENT = 100  # a power of 2 that a float still holds, and by which every back-off has reached its limit


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that grow by a factor up to a limit, each drawn from a range around its length.

    Attributes:
        first_s: Seconds before the second try.
        longest_s: The limit in seconds, before the draw.
        growth: What each pause is multiplied with to get the next one.
        jitter: The range of factors that a pause is multiplied with. Many ranks that failed at one moment come back
            at different ones.
    """

    first_s: float
    longest_s: float
    growth: float = 2.0
    jitter: tuple[float, float] = (1.0, 1.0)

    def pause_s(self, failed: int, draw: Callable[[float, float], float] = random.uniform) -> float:
        """Tell how long to wait after try number `failed`, counted from 1, has failed.

        Args:
            failed: How many tries have failed.
            draw: Gives a number between two.

        Returns:
            Seconds.
        """
        pause = min(self.first_s * self.growth ** min(failed - 1, _LARGEST_EXPONENT), self.longest_s)
        return pause * draw(*self.jitter)
