"""Several runs beside each other, as the runs of a sweep are."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lambda_image.errors import InvalidEvent
from scripts.catalogue.run_source import ResultSource, read_json
from scripts.sweep.configuration import Configuration
from scripts.sweep.folder import FAILED, SUCCEEDED, Measured


@dataclass(frozen=True)
class EndedRun(Configuration):
    """Says how a run was made, of which the number of files is known and not their size.

    Attributes:
        files: Files that its galaxies lay in.
    """

    files: int = 1

    @property
    def partitions(self) -> int:
        return self.files


def read_runs(sources: Sequence[ResultSource]) -> list[Measured]:
    """Reads the results of runs.

    Args:
        sources: Where they lie.

    Returns:
        The runs. Runs with the same ranks, batches, galaxies and files are repeats of each other.

    Raises:
        InvalidEvent: A run has left no summary, or no record of a rank.
    """
    runs: list[Measured] = []
    seen: Counter[tuple[int, int, int, int]] = Counter()
    for source in sources:
        summary, records = read_json(source, "summary.json"), read_json(source, "combined_data.json")
        if not isinstance(summary, dict) or not records:
            raise InvalidEvent(f"{source.place} holds no summary.json with records of ranks: name a run that has ended")
        kind = (summary["world_size"], records[0]["batch_size"], summary["samples"], summary["partitions"])
        seen[kind] += 1
        ok = summary["status"] == "succeeded"
        reason = None if ok else "; ".join(f"rank {one['rank']}: {one['error']}" for one in summary["failed_ranks"])
        configuration = EndedRun(*kind[:3], repeat=seen[kind], files=kind[3])
        runs.append(Measured(configuration, SUCCEEDED if ok else FAILED, reason, summary, tuple(records)))
    return runs
