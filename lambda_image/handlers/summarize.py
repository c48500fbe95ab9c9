"""The last state. It holds what came against the manifest, rebuilds what the gather lacks, and judges the run.

What a rank has left is the result of its first complete attempt, or else the partitions that its attempts have
finished. Summarize copies either to `predictions/<rank>.parquet` where the rank itself has not written it there.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from lambda_image import stretches
from lambda_image.data.predictions import Predictions
from lambda_image.errors import InvalidEvent, TooManyFailures, with_short_errors
from lambda_image.handlers import log
from lambda_image.handlers.preparing import prepare
from lambda_image.json_text import parse_json
from lambda_image.manifest import Assignment, Run, predictions_key, result_key
from lambda_image.ownership import JSON_TYPE, RunObjects
from lambda_image.request_times import RequestTimes
from lambda_image.results import (
    STORAGE,
    Phases,
    Record,
    Usage,
    Work,
    belongs,
    combined,
    digest,
    is_complete,
    rank_record,
    table_facts,
)
from lambda_image.run_time import wall_time_s
from lambda_image.settings import HandlerSettings
from lambda_image.shares import complete_all
from lambda_image.storage import ObjectStore, Version
from lambda_image.summary import Failure, Summary, message_of, summarise

READERS = 16  # objects read at a time when the run is rebuilt: as many as the store keeps connections
LATER = ("phases", "adopted_by")  # what a rank's own record says and the gathered one cannot know
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
    items = results.get_json(run.manifest_key)
    if not isinstance(items, list) or not items:
        raise InvalidEvent(f"{results.url(run.manifest_key)} is not a manifest: start the run again")
    manifest = [Assignment.from_json(item) for item in items]
    if manifest[0].execution != run.execution:
        raise InvalidEvent(f"{run.manifest_key} is the manifest of the run {manifest[0].run_id}, not {run.run_id}")
    manifest = complete_all(manifest, results)
    path, objects = run.result_path, RunObjects(results, run.execution, run.result_path)
    found, table = results.look(f"{path}/combined_data.json"), results.look(f"{path}/predictions.parquet")
    gathered = _gathered(objects, found, table, manifest)
    if gathered is None:
        records, predictions, broken = _rebuild(objects, manifest)
        failures = [reported.get(failure.rank, failure) for failure in broken]
        objects.put(f"{path}/predictions.parquet", predictions.to_parquet(), within_run="replace", known=table)
        log("rebuilt", ranks=len(records), missing=[failure.rank for failure in failures])
    else:
        (records, predictions), failures = gathered, []
    _put_json(objects, f"{path}/combined_data.json", combined(records), known=found)
    summary = summarise(
        manifest,
        records,
        predictions,
        failures,
        tolerated_failures=run.tolerated_failures,
        wall_s=wall_s,
        memory_size_mb=memory_mb,
        warnings=run.warnings,
        deal=run.deal,
    )
    _put_json(objects, f"{path}/summary.json", summary.to_json())
    return summary


def _put_json(objects: RunObjects, key: str, content: object, known: Version | None = None) -> None:
    data = json.dumps(content, allow_nan=False).encode()
    objects.put(key, data, within_run="replace", kind=JSON_TYPE, known=known)


def _gathered(
    objects: RunObjects, found: Version | None, table: Version | None, manifest: Sequence[Assignment]
) -> tuple[list[Record], Predictions] | None:
    """What rank 0 wrote after a complete gather of this run, with the records of ranks without galaxies; or None."""
    if found is None or table is None:
        return None
    try:
        content, predictions = parse_json(found.data), Predictions.from_parquet(table.data)
    except ValueError:
        return None
    records = _of_all_ranks(objects, content, manifest)
    if records is None or sum(_table_rows(record) for record in records) != len(predictions):
        return None
    return records, predictions


def _of_all_ranks(objects: RunObjects, gathered: object, manifest: Sequence[Assignment]) -> list[Record] | None:
    """The gathered records and, of ranks that had no galaxies, their own; None where a rank has neither.

    A gathered record gets the phases, the requests to S3 and the later attempt that the rank's own has, since what was
    gathered cannot tell what came after.
    """
    if not isinstance(gathered, list):
        return None
    by_rank = {r["rank"]: r for r in gathered if isinstance(r, dict) and isinstance(r.get("rank"), int)}
    if len(by_rank) != len(gathered):
        return None

    def of(item: Assignment) -> Record | None:
        record, own = by_rank.pop(item.rank, None), _record(objects.store, item)
        if record is None:  # rank 0 leaves out who had nothing, and that rank itself must say so
            return own if isinstance(own, dict) and is_complete(own) and own["samples"] == 0 else None
        if not (belongs(record, item) and is_complete(record)):
            return None
        if isinstance(own, str) or not is_complete(own):
            return record
        if own["predictions"] != record["predictions"]:
            return None  # rank 0 has another attempt's part than the one that counts
        _publish(objects, item, own)
        return {**record, **{name: own[name] for name in own if name in LATER or name.startswith("s3")}}

    with ThreadPoolExecutor(READERS) as readers:
        records = list(readers.map(of, manifest))
    if by_rank:  # what no item of the manifest named
        return None
    return None if None in records else cast(list[Record], records)


def _publish(objects: RunObjects, item: Assignment, record: Record, table: bytes | None = None) -> None:
    """Copies a rank's table to where users look for it, if the attempt that counts found that place taken."""
    key, named = predictions_key(item.result_path, item.rank), record["predictions"]["key"]
    if named == key:
        return
    table = objects.store.find(named) if table is None else table
    if table is not None:
        objects.put(key, table, within_run="replace")


def _rebuild(objects: RunObjects, manifest: Sequence[Assignment]) -> tuple[list[Record], Predictions, list[Failure]]:
    """The ranks' own objects put together, in order of rank; and the ranks that left none, or not all of theirs."""
    with ThreadPoolExecutor(READERS) as readers:
        parts = list(readers.map(lambda item: _part(objects, item), manifest))
    there = [part for part in parts if not isinstance(part, Failure)]
    records = [{**record, "transport": STORAGE} for record, _ in there]
    broken = [part for part in parts if isinstance(part, Failure)]
    broken += [Failure(record["rank"], "PartIncomplete", record["error"]) for record in records if record["error"]]
    return records, Predictions.concatenate([table for _, table in there]), broken


def _record(results: ObjectStore, item: Assignment) -> Record | str:
    """What the rank itself wrote in this run, be it a claim only, or why there is no such record."""
    found = results.find(result_key(item.result_path, item.rank))
    try:
        record = parse_json(found) if found is not None else None
    except ValueError:
        return "is not JSON"
    return record if isinstance(record, dict) and belongs(record, item) else "was not written"


def _part(objects: RunObjects, item: Assignment) -> tuple[Record, Predictions] | Failure:
    """What a rank of this run has left on S3."""
    record, results = _record(objects.store, item), objects.store
    if isinstance(record, str):
        reason = f"{results.url(result_key(item.result_path, item.rank))} {record}"
        record = {}
    elif isinstance(record.get("predictions"), dict):
        key = record["predictions"]["key"]
        table = results.find(key)
        if table is not None and digest(table) == record["predictions"]["blake2b"]:
            _publish(objects, item, record, table)
            return record, Predictions.from_parquet(table)
        reason = f"{results.url(key)} is not what was written"
    else:
        reason = record.get("error") or f"{results.url(result_key(item.result_path, item.rank))} was not written"
    return _unfinished(objects, item, record, reason) or Failure(item.rank, "PartMissing", reason)


def _unfinished(
    objects: RunObjects, item: Assignment, record: Record, reason: str
) -> tuple[Record, Predictions] | None:
    """What the attempts of a rank have finished that left no complete result, if it is anything."""
    kept = stretches.read(objects.store, item)
    if not kept.finished:
        return None
    predictions, work = Predictions.concatenate([part.table for part in kept.finished.values()]), Work()
    for part in kept.finished.values():
        work.merge(part.work)
    total, table = len(item.partitions), predictions.to_parquet()
    key = predictions_key(item.result_path, item.rank)
    objects.put(key, table, within_run="replace")
    missing = f"{len(kept.finished)} of {total} partitions are finished: {reason}"
    facts = kept.facts
    return rank_record(
        item,
        facts["attempt"],
        work,
        Phases(**facts["phases"]),
        Usage(**facts["usage"], s3_times=RequestTimes()),
        table_facts(key, table),
        STORAGE,
        error=missing if len(kept.finished) < total else None,
        gather_error=record.get("gather_error"),
    ), predictions


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


prepare(os.environ, "arro3.io")
