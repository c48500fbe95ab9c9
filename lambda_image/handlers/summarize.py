"""The last state. It holds what came against the manifest, rebuilds what the gather lacks, and judges the run.

What a rank has left is the result of its first complete attempt, or else the partitions that its attempts have
finished. Summarize copies either to `predictions/<rank>.parquet` where the rank itself has not written it there.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lambda_image.errors import InvalidEvent, StorageUnavailable, TooManyFailures, with_short_errors
from lambda_image.handlers import log
from lambda_image.handlers.left_behind import Collector, LeftBehind, all_parts_came, gathered_records
from lambda_image.handlers.preparing import prepare
from lambda_image.handlers.run_tables import DamagedTablesError, RunTables
from lambda_image.in_order import in_order
from lambda_image.manifest import Assignment, Run
from lambda_image.ownership import JSON_TYPE, RunObjects
from lambda_image.results import combined_data, combined_line
from lambda_image.run_time import wall_time_s
from lambda_image.settings import HandlerSettings
from lambda_image.shares import complete, complete_in_order
from lambda_image.storage import ObjectInfo, ObjectStore
from lambda_image.summary import Failure, Judgement, Summary, message_of

READERS = 16  # ranks whose objects are read at a time: as many as the store keeps connections
NAMED_FAILURES = 10  # in the error's message; summary.json has all


@with_short_errors
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answers the state machine.

    Args:
        event: {"state": {"run": what Init returned, "ranks": what the Map gave, or "map_error": why it gave nothing},
            "entered_at": when the state was entered, ISO 8601}. The clock of "entered_at" gave the run's start, too.
            This function's own may be hours off.
        context: what Lambda tells of the invocation, of which nothing is used.

    Returns:
        The content of `summary.json`, with the first failures where there are many.

    Raises:
        TooManyFailures: more ranks failed than the input tolerates; the summary has been written.
        RunError: there was no summary to be made.
    """
    state = event.get("state") if isinstance(event, dict) else None
    if not isinstance(state, dict) or "run" not in state:
        raise InvalidEvent("Summarize is invoked by the state machine, with run and ranks")
    settings = HandlerSettings.from_environ(os.environ)
    run = Run.from_json(state["run"])
    results = ObjectStore(run.bucket, missing=InvalidEvent)
    wall_s = wall_time_s(run.started_at, event.get("entered_at"))
    summary = summarize(results, run, reported_failures(state), wall_s, settings.memory_mb)
    log("summary", run_id=run.run_id, status=summary.status)
    content = summary.to_json()
    if summary.status == "failed":
        failed = tuple(failure.rank for failure in summary.failed_ranks)
        raise TooManyFailures(_blame(summary, run.tolerated_failures), failed=failed)
    if len(content["failed_ranks"]) > NAMED_FAILURES:  # a state's output is limited to 256 KiB
        content["failed_ranks"] = content["failed_ranks"][:NAMED_FAILURES]
    return content


def summarize(
    results: ObjectStore, run: Run, reported: Mapping[int, Failure], wall_s: float | None, memory_mb: int
) -> Summary:
    """Writes what a run ends with: `summary.json`, and `combined_data.json` with the ranks' last times.

    Ranks without galaxies count in the summary and are left out of `combined_data.json`.

    It also writes `predictions.parquet` where rank 0 has not.

    Args:
        results: the bucket of the results.
        run: what Init returned.
        reported: the failures that the Map caught, by rank.
        wall_s: seconds since the execution began; None where they are not known.
        memory_mb: memory of this function, for the cost.

    Raises:
        InvalidEvent: there is no manifest, or it is another run's.
        RunSuperseded: another run has taken the result path meanwhile.
    """
    manifest = _manifest(results, run)
    objects = RunObjects(results, run.execution, run.result_path)
    found, gathered = gathered_records(results, f"{run.result_path}/combined_data.json")
    # Two requests, which a small run does not need.
    all_came = gathered is None and all_parts_came(results, complete(manifest[0], results))
    damaged: dict[int, str] = {}
    while True:
        judgement, failures = Judgement(), list[Failure]()
        collector = Collector(objects, gathered, damaged, all_came)
        left = in_order(collector.collect, complete_in_order(manifest, results), READERS)
        try:
            predictions = _combine(objects, left, judgement, failures, found)
            break
        except DamagedTablesError as error:
            if error.damaged.keys() <= damaged.keys():
                raise StorageUnavailable(f"{next(iter(error.damaged.values()))}: somebody else writes there") from error
            damaged.update(error.damaged)
    summary = judgement.summary(
        manifest[0],
        [reported.get(failure.rank, failure) for failure in failures],
        predictions=predictions,
        tolerated_failures=run.tolerated_failures,
        wall_s=wall_s,
        memory_size_mb=memory_mb,
        warnings=run.warnings,
        deal=run.deal,
    )
    content = json.dumps(summary.to_json(), allow_nan=False).encode()
    objects.put(f"{run.result_path}/summary.json", content, within_run="replace", kind=JSON_TYPE)
    return summary


def _combine(
    objects: RunObjects,
    left: Iterable[LeftBehind],
    judgement: Judgement,
    failures: list[Failure],
    known: ObjectInfo | None,
) -> str:
    """Writes `combined_data.json`, in the place of the known one, and says what all predictions are in.

    Raises:
        DamagedTablesError: tables are not what their records say. Nothing has been written.
    """
    tables, limits = RunTables(objects), set[int]()  # limits are the same in all shares
    with objects.begin(f"{objects.result_path}/combined_data.json", kind=JSON_TYPE) as upload:
        for piece in combined_data(_lines(left, judgement, tables, failures, limits)):
            upload.write(piece)
        predictions = tables.publish(min(limits))
        objects.put(upload.key, upload, within_run="replace", known=known)
    return predictions


def _manifest(results: ObjectStore, run: Run) -> list[Assignment]:
    """The items of all ranks, without their shares."""
    items = results.get_json(run.manifest_key)
    if not isinstance(items, list) or not items:
        raise InvalidEvent(f"{results.url(run.manifest_key)} is not a manifest: start the run again")
    manifest = [Assignment.from_json(item) for item in items]
    if manifest[0].execution != run.execution:
        raise InvalidEvent(f"{run.manifest_key} is the manifest of the run {manifest[0].run_id}, not {run.run_id}")
    return manifest


def _lines(
    left: Iterable[LeftBehind], judgement: Judgement, tables: RunTables, failures: list[Failure], limits: set[int]
) -> Iterator[bytes | None]:
    """What `combined_data.json` has of each rank, while all else is told of it."""
    for one in left:
        limits.add(one.item.combine_limit)
        judgement.add(one.item.partitions, one.record, one.statistics, one.finished)
        if one.failure is not None:
            failures.append(one.failure)
        if one.record is not None:
            tables.add(one.record)
            yield combined_line(one.record)


def reported_failures(event: Mapping[str, Any]) -> dict[int, Failure]:
    """Reads the failures that the Map caught.

    Args:
        event: whose "ranks" has {"rank": 3, "error": {"Error": name, "Cause": JSON or text}} for a rank that failed.

    Returns:
        The failures by rank.
    """
    outcomes: Iterable[Any] = event.get("ranks") or []
    failures = {}
    for outcome in outcomes:
        if isinstance(outcome, Mapping) and "error" in outcome:
            error = outcome["error"]
            failures[outcome["rank"]] = Failure(
                outcome["rank"], error.get("Error", "Unknown"), message_of(error.get("Cause", ""))
            )
    return failures


def _blame(summary: Summary, tolerated: int) -> str:
    failed = summary.failed_ranks
    named = "; ".join(map(str, failed[:NAMED_FAILURES]))
    more = f"; and {len(failed) - NAMED_FAILURES} more" if len(failed) > NAMED_FAILURES else ""
    return (
        f"{len(failed)} of {summary.world_size} ranks failed ({tolerated} tolerated): {named}{more}. The predictions "
        f"of the other ranks are under {summary.result_path}/; summary.json there lists every failure"
    )


prepare(os.environ, "arro3.io")
