"""The first state. It reads the input, finds the partitions, deals them to the ranks and writes the manifest."""

import json
import os
import secrets
import time
from datetime import UTC, datetime
from typing import Any

from lambda_image.data.partition import count_rows
from lambda_image.errors import InvalidEvent, PartitionMalformed
from lambda_image.events import RunRequest, parse
from lambda_image.handlers import log
from lambda_image.manifest import Assignment, Run, Slice, assignments, choose_partitions, deal, deal_rows
from lambda_image.settings import HandlerSettings
from lambda_image.storage import ObjectStore

RUN_KEY_BYTES = 32
# A run that has no summary by then has ended without one: the state machine's TimeoutSeconds.
ABANDONED_AFTER_S = 7200.0


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answers the state machine.

    Args:
        event: {"input": the execution's input, "execution": its ARN, "started_at": its start, ISO 8601}.
        context: what Lambda tells of the invocation, of which nothing is used.

    Returns:
        The run (manifest.Run) as JSON.

    Raises:
        RunError: the run cannot begin; see `init`.
    """
    settings = HandlerSettings.from_environ(os.environ)
    if not isinstance(event, dict) or not {"input", "execution", "started_at"} <= event.keys():
        raise InvalidEvent("Init is invoked by the state machine, with input, execution and started_at")
    started_at = datetime.fromisoformat(event["started_at"]).timestamp()
    request = parse(event["input"], event["execution"], settings.rendezvous_endpoint)
    for warning in request.warnings:
        log("warning", message=warning)
    data = ObjectStore(request.data_bucket)
    results = ObjectStore(request.bucket, missing=InvalidEvent)
    return init(request, data, results, started_at, time.time()).to_json()


def init(request: RunRequest, data: ObjectStore, results: ObjectStore, started_at: float, now: float) -> Run:
    """Writes the manifest of `request`.

    Args:
        request: the execution input.
        data: the bucket of the partitions.
        results: the bucket of the manifest and of the ranks' results.
        started_at: when the execution began, in seconds since the epoch.
        now: the time at present, in seconds since the epoch.

    Returns:
        What the next states must know of the run.

    Raises:
        InvalidEvent: the input does not fit what is in the buckets, or its result path belongs to another run.
        PartitionMissing: there is no partition under the prefix, or no dataset under the key.
        PartitionMalformed: the dataset is none.

    After an error nothing has been written.
    """
    shares, found = _shares(request, data)
    for warning in found:
        log("warning", message=warning)
    run_key = secrets.token_hex(RUN_KEY_BYTES)
    manifest = [item.to_json() for item in assignments(request, shares, run_key, started_at)]
    key = f"{request.result_path}/manifest.json"
    _claim(results, request, key, manifest, now)
    log("manifest", ranks=len(shares), partitions=sum(map(len, shares)), object=results.url(key))
    return Run(
        execution=request.execution,
        bucket=request.bucket,
        manifest_key=key,
        result_path=request.result_path,
        world_size=len(shares),
        tolerated_failures=request.tolerated_failures,
        started_at=started_at,
        warnings=(*request.warnings, *found),
    )


def _shares(request: RunRequest, data: ObjectStore) -> tuple[list[list[Slice]], list[str]]:
    """What each rank works on, and what the user must be told of the data."""
    if request.data_path is not None:
        with data.open(request.data_path) as dataset:
            rows = count_rows(dataset, data.url(request.data_path))
            etag = dataset.etag or ""
        if not rows:
            raise PartitionMalformed(f"{data.url(request.data_path)}: it holds no galaxies", object=request.data_path)
        return deal_rows(request.data_path, etag, rows, request.world_size or 1), []
    prefix = f"{request.data_prefix}/" if request.data_prefix else ""
    partitions, warnings = choose_partitions(data.list_folder(prefix), prefix, data.url(prefix), request.file_limit)
    return deal(partitions, request.world_size or len(partitions)), warnings


def _claim(results: ObjectStore, request: RunRequest, key: str, manifest: list[dict[str, Any]], now: float) -> None:
    """Writes the manifest unless another run is at work under the same result path: two would mix their results."""
    if results.put_json(key, manifest, if_absent=True):
        return
    there, found = results.head(key), results.find(key)
    if there is None or found is None:
        raise InvalidEvent(f"{results.url(key)} was removed while this run began: start it again")
    try:
        earlier = Assignment.from_json(json.loads(found)[0])
    except (ValueError, LookupError, InvalidEvent) as error:
        raise InvalidEvent(
            f"{results.url(key)} is there and not a manifest: remove it, or give another result_path"
        ) from error
    free_at = earlier.started_at + ABANDONED_AFTER_S
    if earlier.execution != request.execution and now < free_at and not _has_ended(results, earlier):
        raise InvalidEvent(
            f"result_path {request.result_path} is in use by the run {earlier.run_id}, which has no summary yet: give "
            "another result_path (or none, so that each run has its own), or wait for it. If it was stopped, remove "
            f"{results.url(key)}; without that the path is free at {datetime.fromtimestamp(free_at, UTC):%H:%M} UTC"
        )
    if not results.put_json(key, manifest, if_match=there.etag):
        raise InvalidEvent(
            f"result_path {request.result_path} was taken by another run in this moment: give another result_path"
        )


def _has_ended(results: ObjectStore, run: Assignment) -> bool:
    summary = results.find(f"{run.result_path}/summary.json")
    try:
        return summary is not None and json.loads(summary)["execution"] == run.execution
    except (ValueError, LookupError, TypeError):
        return False
