"""The judgement on a run: what came held against the manifest, as `summary.json` has it. No I/O."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lambda_image.cost import Billed, Cost, cost
from lambda_image.data.distribution_parts import DistributionParts
from lambda_image.data.predictions import Predictions
from lambda_image.data.tally import RowTally
from lambda_image.errors import cut
from lambda_image.json_text import parse_json
from lambda_image.manifest import Assignment
from lambda_image.metrics import Accuracy, accuracy
from lambda_image.results import STORAGE, Record

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
    samples: int  # rows of `predictions.parquet`
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

    def to_json(self) -> dict[str, Any]:
        """Gives the summary as JSON has it.

        The measures of accuracy stand beside the counts, not in an object. A measure that is undefined is null.
        """
        fields = asdict(self)
        del fields["accuracy"]
        return {**fields, **self.accuracy.to_json(), "cost_usd": self.cost.total_usd}


def summarise(
    manifest: Sequence[Assignment],
    records: Sequence[Record],
    predictions: Predictions,
    failures: Iterable[Failure],
    *,
    tolerated_failures: int,
    wall_s: float | None,
    memory_size_mb: int,
    warnings: Iterable[str] = (),
    deal: str = "",
) -> Summary:
    """Holds what came against the manifest.

    Args:
        manifest: the items of all ranks.
        records: the records of the ranks that left one.
        predictions: the predictions of the same ranks.
        failures: the ranks that left none, or not all of theirs.
        tolerated_failures: how many of these leave the run a success.
        wall_s: seconds since the execution began; None where they are not known.
        memory_size_mb: memory of the functions beside the ranks, for the cost.
        warnings: what is to be told of the input.
        deal: what the ranks' shares had alike.

    Returns:
        The summary, with warnings about rows that cannot be judged and about gathers that failed.
    """
    failed = sorted(failures, key=lambda failure: failure.rank)
    first = manifest[0]
    transports = [str(record["transport"]) for record in records]
    ranks = [billed(record) for record in records]
    others = beside_the_ranks(len(manifest), memory_size_mb)
    complete = [record for record in records if record["error"] is None]
    reasons = [record["gather_error"] for record in records if record["gather_error"] is not None]
    # A rank may end well without a prediction of a partition, which was empty or all of whose rows were skipped.
    done = {part.key for record in complete for part in manifest[record["rank"]].partitions}
    empty = [key for record in records for key in record["empty_partitions"]]
    rows = RowTally()
    for record in records:
        rows.merge(RowTally.from_json(record["rows"]))
    found = [
        *_damaged(records),
        *_adopted(records),
        *rows.warnings(),
        *(f"no gather: {reason}" for reason in dict.fromkeys(reasons)),
    ]
    return Summary(
        run_id=first.run_id,
        execution=first.execution,
        status="succeeded" if len(failed) <= tolerated_failures else "failed",
        world_size=len(manifest),
        result_path=first.result_path,
        ranks_completed=len(complete),
        failed_ranks=failed,
        gathered=len(complete) == len(manifest) and STORAGE not in transports,
        transports={name: transports.count(name) for name in sorted(set(transports))},
        partitions=len({part.key for assignment in manifest for part in assignment.partitions}),
        partitions_completed=len(done.union(empty, predictions.source.tolist())),
        samples=len(predictions),
        rows=rows.to_json(),
        accuracy=accuracy(predictions.redshift, predictions.redshift_true),
        weights=next((record["weights"] for record in records if record.get("weights")), None),
        wall_s=wall_s,
        samples_per_s=len(predictions) / wall_s if wall_s else None,
        bits_per_s=sum(record["bits"] for record in records) / wall_s if wall_s else None,
        cost=cost(
            [*ranks, *others],
            len(manifest),
            wall_s,
            with_rendezvous=first.fmi_enabled,
            architecture=next((record["architecture"] for record in records if "architecture" in record), "x86_64"),
        ),
        distributions=_distributions(records),
        warnings=[*warnings, *_without_galaxies(empty), *found[:NAMED_WARNINGS]],
        deal=deal,
    )


def _distributions(records: Sequence[Record]) -> dict[str, Any] | None:
    found = [record["distributions"]["parts"] for record in records if record.get("distributions")]
    if not found:
        return None
    parts = DistributionParts()
    for part in found:
        parts.merge(DistributionParts.from_json(part))
    return parts.measures()


def _without_galaxies(empty: Sequence[str]) -> list[str]:
    if not empty:
        return []
    more = f" and {len(empty) - NAMED_WARNINGS:,} more" if len(empty) > NAMED_WARNINGS else ""
    subject = "1 partition holds" if len(empty) == 1 else f"{len(empty):,} partitions hold"
    return [f"{subject} no galaxies: {', '.join(empty[:NAMED_WARNINGS])}{more}"]


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
        waiting_s=phases["gather_s"],
    )
