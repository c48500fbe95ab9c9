"""How many ranks of a run work at a time, and how long the run may therefore take. No I/O.

Step Functions takes a state machine's time limit as a number and not as a path, so that limit is one for all runs. The
limit of a run lies in its manifest. A rank that would begin after it ends at once, and the run then comes to Summarize
within minutes. All times are those of the state machine's clock.
"""

from dataclasses import dataclass
from datetime import datetime

from lambda_image.errors import RunOverdue
from lambda_image.manifest import WAVE_S, Assignment

MAX_TIME_LIMIT_S = 28 * 86_400.0  # the state machine's own limit is two days more
NO_LIMIT = 0  # by which a Map means it


@dataclass(frozen=True)
class Waves:
    """The plan of a run whose ranks take turns."""

    concurrency: int  # ranks at a time: MaxConcurrency of the Map
    count: int
    time_limit_s: float  # from the execution's start: no rank begins later

    @property
    def all_at_once(self) -> bool:
        """Whether every rank can be at work while all others are, which a gather needs."""
        return self.count == 1


def plan_waves(world_size: int, max_concurrency: int | None) -> Waves:
    """Plans in how many waves the ranks of a run work.

    Args:
        world_size: how many ranks there are.
        max_concurrency: how many may work at a time; None for as many as there are.
    """
    if max_concurrency is None or max_concurrency >= world_size:
        return Waves(NO_LIMIT, 1, WAVE_S)
    count = -(-world_size // max_concurrency)
    return Waves(max_concurrency, count, min(count * WAVE_S, MAX_TIME_LIMIT_S))


def refuse_late(assignment: Assignment, entered_at: object) -> None:
    """Keeps a rank from beginning when its run should have ended.

    Args:
        assignment: the rank's item of the manifest.
        entered_at: when the state machine came to this rank, ISO 8601; anything else is no reason to refuse.

    Raises:
        RunOverdue: the run's time is over.
    """
    late_s = wall_time_s(assignment.started_at, entered_at)
    if late_s is not None and late_s > assignment.time_limit_s:
        raise RunOverdue(
            f"rank {assignment.rank} was not begun: its turn came {late_s:,.0f} s after the run's start, and the run "
            f"had {assignment.time_limit_s:,.0f} s for its ranks to begin. Start the run again with more ranks at a "
            "time (max_concurrency, or a larger quota of the account), or with fewer ranks"
        )


def ended_by(assignment: Assignment) -> float:
    """Computes by when a run has ended, whatever happened to it, in seconds since the epoch.

    Args:
        assignment: any item of its manifest.
    """
    return assignment.started_at + assignment.time_limit_s + WAVE_S


def wall_time_s(started_at: float, entered_at: object) -> float | None:
    """Computes how long a run took until a state, by one clock, which is that of the state machine.

    Args:
        started_at: when the execution began, in seconds since the epoch.
        entered_at: when it came to the state, ISO 8601.

    Returns:
        Seconds, or None where they are not known, because the clock was set meanwhile or did not say.
    """
    try:
        wall_s = datetime.fromisoformat(str(entered_at)).timestamp() - started_at
    except ValueError:
        return None
    return wall_s if wall_s >= 0 else None
