"""The last state. It holds what came against the manifest, rebuilds what the gather lacks, and judges the run."""

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from lambda_image.data.predictions import Predictions
from lambda_image.errors import InvalidEvent, TooManyFailures
from lambda_image.handlers import log
from lambda_image.manifest import Assignment, Run, result_key
from lambda_image.results import STORAGE, Record, belongs, combined, digest
from lambda_image.settings import HandlerSettings
from lambda_image.storage import ObjectStore
from lambda_image.summary import Failure, Summary, message_of, summarise

READERS = 16  # objects read at a time when the run is rebuilt: as many as the store keeps connections
NAMED_FAILURES = 10  # in the error's message; summary.json has all


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answers the state machine.

    Args:
        event: {"run": what Init returned, "ranks": what the Map gave, or "map_error": why it gave nothing}.
        context: what Lambda tells of the invocation, of which nothing is used.

    Returns:
        The content of `summary.json`, with the first failures where there are many.

    Raises:
        TooManyFailures: more ranks failed than the input tolerates; the summary has been written.
        RunError: there was no summary to be made.
    """
    if not isinstance(event, dict) or "run" not in event:
        raise InvalidEvent("Summarize is invoked by the state machine, with run and ranks")
    settings = HandlerSettings.from_environ(os.environ)
    run = Run.from_json(event["run"])
    results = ObjectStore(run.bucket, missing=InvalidEvent)
    summary = summarize(results, run, reported_failures(event), time.time(), settings.memory_mb)
    content = summary.to_json()
    if summary.status == "failed":
        failed = tuple(failure.rank for failure in summary.failed_ranks)
        raise TooManyFailures(_blame(summary, run.tolerated_failures), failed=failed)
    if len(content["failed_ranks"]) > NAMED_FAILURES:  # a state's output is limited to 256 KiB
        content["failed_ranks"] = content["failed_ranks"][:NAMED_FAILURES]
    return content


def summarize(results: ObjectStore, run: Run, reported: Mapping[int, Failure], now: float, memory_mb: int) -> Summary:
    """Writes what a run ends with: `summary.json`, and `combined_data.json` with the ranks' last times.

    Ranks without galaxies count in the summary and are left out of `combined_data.json`.

    It also writes `predictions.parquet` where rank 0 has not.

    Args:
        results: the bucket of the results.
        run: what Init returned.
        reported: the failures that the Map caught, by rank.
        now: the time at present, in seconds since the epoch.
        memory_mb: memory of this function, for the cost.

    Raises:
        InvalidEvent: there is no manifest, or it is another run's.
    """
    manifest = [Assignment.from_json(item) for item in results.get_json(run.manifest_key)]
    if manifest[0].execution != run.execution:
        raise InvalidEvent(f"{run.manifest_key} is the manifest of the run {manifest[0].run_id}, not {run.run_id}")
    path = run.result_path
    gathered = _gathered(results, path, manifest)
    if gathered is None:
        records, predictions, broken = _rebuild(results, manifest)
        failures = [reported.get(failure.rank, failure) for failure in broken]
        results.put(f"{path}/predictions.parquet", predictions.to_parquet())
        log("rebuilt", ranks=len(records), missing=[failure.rank for failure in failures])
    else:
        (records, predictions), failures = gathered, []
    results.put_json(f"{path}/combined_data.json", combined(records))
    summary = summarise(
        manifest,
        records,
        predictions,
        failures,
        tolerated_failures=run.tolerated_failures,
        wall_s=now - run.started_at,
        memory_size_mb=memory_mb,
        warnings=run.warnings,
    )
    results.put_json(f"{path}/summary.json", summary.to_json())
    return summary


def _gathered(
    results: ObjectStore, path: str, manifest: Sequence[Assignment]
) -> tuple[list[Record], Predictions] | None:
    """What rank 0 wrote after a complete gather of this run, with the records of ranks without galaxies; or None."""
    found, table = results.find(f"{path}/combined_data.json"), results.find(f"{path}/predictions.parquet")
    if found is None or table is None:
        return None
    try:
        content, predictions = json.loads(found), Predictions.from_parquet(table)
    except ValueError:
        return None
    records = _of_all_ranks(results, content, manifest)
    if records is None or sum(_table_rows(record) for record in records) != len(predictions):
        return None
    return records, predictions


def _of_all_ranks(results: ObjectStore, gathered: object, manifest: Sequence[Assignment]) -> list[Record] | None:
    """The gathered records and, of ranks that had no galaxies, their own; None where a rank has neither.

    A gathered record gets the phases that the rank's own has, since what was gathered cannot tell how long that took.
    """
    if not isinstance(gathered, list):
        return None
    by_rank = {r["rank"]: r for r in gathered if isinstance(r, dict) and isinstance(r.get("rank"), int)}
    if len(by_rank) != len(gathered):
        return None

    def of(item: Assignment) -> Record | None:
        record, own = by_rank.pop(item.rank, None), _record(results, item)
        if record is None:  # rank 0 leaves out who had nothing, and that rank itself must say so
            return own if isinstance(own, dict) and own["samples"] == 0 and own["error"] is None else None
        if not belongs(record, item):
            return None
        return record if isinstance(own, str) else {**record, "phases": own["phases"]}

    with ThreadPoolExecutor(READERS) as readers:
        records = list(readers.map(of, manifest))
    if by_rank:  # what no item of the manifest named
        return None
    return None if None in records else cast(list[Record], records)


def _rebuild(results: ObjectStore, manifest: Sequence[Assignment]) -> tuple[list[Record], Predictions, list[Failure]]:
    """The ranks' own objects put together, in order of rank; and the ranks that left none, or not all of theirs."""
    with ThreadPoolExecutor(READERS) as readers:
        parts = list(readers.map(lambda item: _part(results, item), manifest))
    there = [part for part in parts if not isinstance(part, Failure)]
    records = [{**record, "transport": STORAGE} for record, _ in there]
    broken = [part for part in parts if isinstance(part, Failure)]
    broken += [Failure(record["rank"], "PartIncomplete", record["error"]) for record in records if record["error"]]
    return records, Predictions.concatenate([table for _, table in there]), broken


def _record(results: ObjectStore, item: Assignment) -> Record | str:
    """What the rank itself wrote in this run, or why there is no such record."""
    found = results.find(result_key(item.result_path, item.rank))
    try:
        record = json.loads(found) if found is not None else None
    except ValueError:
        return "is not JSON"
    return record if isinstance(record, dict) and belongs(record, item) else "was not written"


def _part(results: ObjectStore, item: Assignment) -> tuple[Record, Predictions] | Failure:
    """What a rank of this run has left on S3."""

    def missing(key: str, what: str) -> Failure:
        return Failure(item.rank, "PartMissing", f"{results.url(key)} {what}")

    record = _record(results, item)
    if isinstance(record, str):
        return missing(result_key(item.result_path, item.rank), record)
    table = results.find(record["predictions"]["key"])
    if table is None or digest(table) != record["predictions"]["blake2b"]:
        return missing(record["predictions"]["key"], "is not what was written")
    return record, Predictions.from_parquet(table)


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


def _table_rows(record: Record) -> int:
    """How many rows a rank's table has."""
    return int(record["rows"]["in"] - record["rows"]["skipped"])
