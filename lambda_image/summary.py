"""The judgement on a run: what came held against the manifest, as `summary.json` has it. No I/O."""

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lambda_image.cost import Billed, Cost, cost
from lambda_image.data.distribution_parts import DistributionParts
from lambda_image.data.tally import RowTally
from lambda_image.errors import cut
from lambda_image.json_text import parse_json
from lambda_image.manifest import Assignment, Slice
from lambda_image.metrics import Accuracy
from lambda_image.results import STORAGE, Record
from lambda_image.statistics import Statistics

OTHER_SECONDS = 1.0  # of Init and of Summarize
NAMED_WARNINGS = 10  # about gathers that failed: one cause gives each rank a warning


@dataclass(frozen=True)
class Failure:
    """A rank that left no result, or not all of it."""

    rank: int
    error: str  # the error's class name
    cause: str  # its message

    def __str__(self) -> str:
        return f"rank {self.rank}: {self.error}: {self.cause}"


def message_of(cause: str) -> str:
    """Finds the message in the cause of a failure as Step Functions has it.

    Lambda puts {"errorMessage", "errorType", "stackTrace"} there, and other services put text.
    """
    try:
        return cut(str(parse_json(cause)["errorMessage"]))
    except (ValueError, KeyError, TypeError):
        return cut(cause)


@dataclass(frozen=True)
class Summary:
    """The content of `summary.json`."""

    run_id: str
    execution: str
    status: str  # "succeeded" or "failed"
    world_size: int
    result_path: str
    ranks_completed: int
    failed_ranks: list[Failure]
    gathered: bool  # every rank's part reached rank 0 over sockets
    transports: dict[str, int]  # how many parts travelled by each
    partitions: int
    partitions_completed: int
    predictions: str  # what they are in, under the result path: predictions.parquet, or the folder predictions/
    samples: int  # rows in it
    rows: dict[str, Any]  # what became of all rows: see data/tally.py
    accuracy: Accuracy
    weights: str | None  # the run's own, with their SHA-256; None for those in the image
    wall_s: float | None  # from the execution's start until Summarize; None where no single clock tells
    samples_per_s: float | None  # None where the wall time is unknown or nothing
    bits_per_s: float | None
    cost: Cost
    distributions: dict[str, Any] | None  # how right p(z) is (data/distribution_parts.py); None without a calibration
    warnings: list[str] = field(default_factory=list)
    deal: str = ""  # what the ranks' shares had alike: files, bytes, or rows of one dataset
    dataset_rows: int | None = None  # of the one dataset whose rows are dealt; None where partitions are
    waiting_s: float = 0.0  # billed seconds in which ranks waited for each other in the gather, of all ranks together

    def to_json(self) -> dict[str, Any]:
        """Gives the summary as JSON has it.

        The measures of accuracy stand beside the counts, not in an object. A measure that is undefined is null.
        """
        fields = asdict(self)
        del fields["accuracy"]
        return {**fields, **self.accuracy.to_json(), "cost_usd": self.cost.total_usd}


class Judgement:
    """Holds what came against the manifest, one rank after another, and keeps none of their records."""

    def __init__(self) -> None:
        self._ranks: list[Billed] = []
        self._transports: Counter[str] = Counter()
        self._reasons: dict[str, None] = {}  # for parts that were not gathered, in the order of the ranks
        self._damaged: list[Record] = []
        self._adopted: list[Record] = []
        self._named_empty: list[str] = []
        self._partitions, self._done = DistinctNeighbours(), DistinctNeighbours()
        self._complete = self._empty = self._bits = self._dataset_rows = 0
        self._rows = RowTally()
        self._weights: str | None = None
        self._architecture: str | None = None
        self.samples = 0  # rows of all tables
        self.statistics = Statistics()
        self._distributions: DistributionParts | None = None

    def add(
        self, assigned: Iterable[Slice], record: Record | None, statistics: Statistics, finished: Container[str] = ()
    ) -> None:
        """Takes a rank, in the order of the manifest.

        Args:
            assigned: its partitions.
            record: what it left, which describes its table; None where it left nothing.
            statistics: those of its table.
            finished: of a rank that has failed, the keys of the partitions that are in its table.
        """
        complete = record is not None and record["error"] is None
        empty = set(record["empty_partitions"]) if record is not None else set()
        for part in assigned:
            self._partitions.add(part.key)
            if part.rows is not None:
                self._dataset_rows += part.rows[1] - part.rows[0]
            # A rank may end well without a prediction of a partition, which was empty or whose rows were all skipped.
            if complete or part.key in finished or part.key in empty:
                self._done.add(part.key)
        if record is None:
            return
        self.samples += record["predictions"]["rows"]
        self.statistics.merge(statistics)
        if described := record.get("distributions"):
            self._distributions = self._distributions or DistributionParts()
            self._distributions.merge(DistributionParts.from_json(described["parts"]))
        self._ranks.append(billed(record))
        self._transports[str(record["transport"])] += 1
        self._complete += complete
        self._bits += record["bits"]
        self._rows.merge(RowTally.from_json(record["rows"]))
        self._empty += len(record["empty_partitions"])
        self._named_empty += record["empty_partitions"][: NAMED_WARNINGS - len(self._named_empty)]
        self._weights = self._weights or record.get("weights")
        self._architecture = self._architecture or record.get("architecture")
        if record["gather_error"] is not None and len(self._reasons) < NAMED_WARNINGS:
            self._reasons[record["gather_error"]] = None
        for found, name in ((self._damaged, "engine_damage"), (self._adopted, "adopted_by")):
            if record.get(name):
                found.append({key: record.get(key) for key in ("rank", "attempt", name)})

    def summary(
        self,
        first: Assignment,
        failures: Iterable[Failure],
        *,
        predictions: str,
        tolerated_failures: int,
        wall_s: float | None,
        memory_size_mb: int,
        warnings: Iterable[str] = (),
        deal: str = "",
    ) -> Summary:
        """Judges the run, once all ranks are there.

        Args:
            first: any item of the manifest.
            failures: the ranks that left nothing, or not all of theirs.
            predictions: what all predictions are in, under the result path.
            tolerated_failures: how many of these leave the run a success.
            wall_s: seconds since the execution began; None where they are not known.
            memory_size_mb: memory of the functions beside the ranks, for the cost.
            warnings: what is to be told of the input.
            deal: what the ranks' shares had alike.

        Returns:
            The summary, with warnings about rows that cannot be judged and about gathers that failed.
        """
        failed = sorted(failures, key=lambda failure: failure.rank)
        others = beside_the_ranks(first.world_size, memory_size_mb)
        found = [
            *_damaged(self._damaged),
            *_adopted(self._adopted),
            *self._rows.warnings(),
            *(f"no gather: {reason}" for reason in self._reasons),
        ]
        return Summary(
            run_id=first.run_id,
            execution=first.execution,
            status="succeeded" if len(failed) <= tolerated_failures else "failed",
            world_size=first.world_size,
            result_path=first.result_path,
            ranks_completed=self._complete,
            failed_ranks=failed,
            gathered=self._complete == first.world_size and STORAGE not in self._transports,
            transports=dict(sorted(self._transports.items())),
            partitions=self._partitions.count,
            partitions_completed=self._done.count,
            predictions=predictions,
            samples=self.samples,
            rows=self._rows.to_json(),
            accuracy=self.statistics.accuracy.accuracy(),
            distributions=None if self._distributions is None else self._distributions.measures(),
            weights=self._weights,
            wall_s=wall_s,
            samples_per_s=self.samples / wall_s if wall_s else None,
            bits_per_s=self._bits / wall_s if wall_s else None,
            cost=cost(
                [*self._ranks, *others],
                first.world_size,
                wall_s,
                with_rendezvous=first.fmi_enabled,
                architecture=self._architecture or "x86_64",
            ),
            warnings=[*warnings, *_without_galaxies(self._empty, self._named_empty), *found[:NAMED_WARNINGS]],
            deal=deal,
            dataset_rows=self._dataset_rows or None,
            waiting_s=sum(one.waiting_s for one in self._ranks),
        )


class DistinctNeighbours:
    """Counts texts without those that equal the one before.

    A partition that is cut by rows is dealt to ranks that follow one another, so that equal keys are neighbours.
    """

    def __init__(self) -> None:
        self.count = 0
        self._last: str | None = None

    def add(self, text: str) -> None:
        """Counts a text in."""
        self.count += text != self._last
        self._last = text


def _without_galaxies(count: int, named: Sequence[str]) -> list[str]:
    if not count:
        return []
    more = f" and {count - len(named):,} more" if count > len(named) else ""
    subject = "1 partition holds" if count == 1 else f"{count:,} partitions hold"
    return [f"{subject} no galaxies: {', '.join(named)}{more}"]


def _damaged(records: Sequence[Record]) -> list[str]:
    damages = [(record["rank"], damage) for record in records if (damage := record.get("engine_damage"))]
    if not damages:
        return []
    more = f" (and {len(damages) - 1:,} more)" if len(damages) > 1 else ""
    return [f"rank {damages[0][0]}{more}: {damages[0][1]}"]


def _adopted(records: Sequence[Record]) -> list[str]:
    adopted = [record for record in records if record.get("adopted_by")]
    if not adopted:
        return []
    more = f" (and {len(adopted) - 1:,} more)" if len(adopted) > 1 else ""
    lost, later = adopted[0]["attempt"] + 1, adopted[0]["adopted_by"] + 1
    what = f"attempt {lost} was lost after it had written its predictions. Attempt {later} took them over"
    return [f"rank {adopted[0]['rank']}{more}: {what}"]


def beside_the_ranks(ranks: int, memory_mb: float) -> list[Billed]:
    """Estimates Init and Summarize, two short invocations. What they take is small against the ranks.

    Args:
        ranks: how many there are.
        memory_mb: of either function.
    """
    return [Billed(OTHER_SECONDS, memory_mb, puts=2, gets=ranks)] * 2


def billed(record: Record) -> Billed:
    """Tells what AWS bills for a rank by its record."""
    phases, requests = record["phases"], record["s3"]
    return Billed(
        seconds=phases["cold_start_s"] + phases["total_s"],
        memory_mb=record["memory_size_mb"],
        puts=requests["puts"],
        gets=requests["gets"],
        start_s=phases["cold_start_s"],
        waiting_s=phases.get("wait_s", phases["gather_s"]),  # records of earlier versions lack it
    )
