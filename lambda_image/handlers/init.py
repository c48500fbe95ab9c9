"""The first state. It reads the input, finds the partitions, deals them to the ranks and writes the manifest."""

import os
import secrets
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from lambda_image.data.partition import count_rows
from lambda_image.errors import InvalidEvent, PartitionMalformed, RunError, with_short_errors
from lambda_image.events import RunRequest, parse
from lambda_image.handlers import log
from lambda_image.handlers.preparing import prepare
from lambda_image.json_text import parse_json
from lambda_image.manifest import (
    Assignment,
    ModelObject,
    Run,
    Slice,
    assignments,
    choose_partitions,
    deal,
    deal_rows,
    manifest_key,
)
from lambda_image.ownership import RunObjects, first_item
from lambda_image.results import RESULT_NAME
from lambda_image.run_time import Waves, ended_by, plan_waves
from lambda_image.settings import HandlerSettings
from lambda_image.shares import share_key, withhold
from lambda_image.storage import ObjectStore

RUN_KEY_BYTES = 32
SHARE_TOKEN_BYTES = 8  # of a name that no other try of Init has


@with_short_errors
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
    request = parse(event["input"], event["execution"], settings.rendezvous_endpoint, settings.max_concurrency)
    request = told_how_ranks_gather(request, event["input"])
    for warning in request.warnings:
        log("warning", message=warning)
    data = ObjectStore(request.data_bucket)
    results = ObjectStore(request.bucket, missing=InvalidEvent)
    models = ObjectStore(request.model_bucket, missing=InvalidEvent)
    return init(request, data, results, models, started_at).to_json()


WITHOUT_SERVER = "no rendezvous server is named (rendezvous_endpoint), so the ranks gather by way of storage"


def told_how_ranks_gather(request: RunRequest, given: Mapping[str, Any]) -> RunRequest:
    """Adds a warning where nobody has named a rendezvous server, and nobody has said that none is wanted.

    Args:
        request: what is asked for, in which the server that this function knows has its place.
        given: the execution input.
    """
    if request.rendezvous_endpoint is not None or request.world_size == 1 or given.get("fmi_enabled") not in (None, ""):
        return request
    return replace(request, warnings=(*request.warnings, WITHOUT_SERVER))


def init(request: RunRequest, data: ObjectStore, results: ObjectStore, models: ObjectStore, started_at: float) -> Run:
    """Writes the manifest of `request`.

    Args:
        request: the execution input.
        data: the bucket of the partitions.
        results: the bucket of the manifest and of the ranks' results.
        models: the bucket of the run's own weights, if it has any.
        started_at: when the execution began, in seconds since the epoch. It is compared with the start of an earlier
            run, which the same clock gave, and never with this function's own time.

    Returns:
        What the next states must know of the run.

    Raises:
        InvalidEvent: the input does not fit what is in the buckets, or its result path belongs to another run.
        PartitionMissing: there is no partition under the prefix, or no dataset under the key.
        PartitionMalformed: the dataset is none.

    After an error nothing has been written.
    """
    model = find_model(request, models)
    dealt, found = shares(request, data)
    waves = plan_waves(len(dealt), request.max_concurrency)
    if request.fmi_enabled and not waves.all_at_once:
        found.append(_no_gather(len(dealt), waves))
        request = replace(request, fmi_enabled=False)
    for warning in found:
        log("warning", message=warning)
    run_key = secrets.token_hex(RUN_KEY_BYTES)
    withheld = share_key(request.result_path, secrets.token_hex(SHARE_TOKEN_BYTES))
    manifest, lines = withhold(assignments(request, dealt, run_key, started_at, waves.time_limit_s, model), withheld)
    key = manifest_key(request.result_path)
    results.put(withheld, lines, metadata=RunObjects(results, request.execution, request.result_path).metadata)
    try:
        written, left = _claim(results, request, key, manifest, started_at, withheld)
    except Exception:
        with suppress(RunError):
            results.delete([withheld])
        raise
    if written is not manifest:  # that of an earlier try, which has shares of its own
        with suppress(RunError):
            results.delete([withheld])
    log(
        "manifest",
        run_id=request.run_id,
        ranks=len(written),
        partitions=sum(map(len, dealt)),
        object=results.url(key),
    )
    warnings = (*request.warnings, *found, *left)
    return Run(
        execution=request.execution,
        bucket=request.bucket,
        manifest_key=key,
        result_path=request.result_path,
        world_size=len(written),
        tolerated_failures=request.tolerated_failures,
        started_at=started_at,
        warnings=warnings,
        max_concurrency=waves.concurrency,
    )


def shares(request: RunRequest, data: ObjectStore) -> tuple[list[list[Slice]], list[str]]:
    """Finds the data and deals it to the ranks, without writing anything.

    Args:
        request: the execution input.
        data: the bucket of the partitions.

    Returns:
        What each rank works on, and what the user must be told of the data.

    Raises:
        InvalidEvent: the input does not fit what is in the bucket.
        PartitionMissing: there is no partition under the prefix, or no dataset under the key.
        PartitionMalformed: the dataset is none.
    """
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


def find_model(request: RunRequest, models: ObjectStore) -> ModelObject | None:
    """Finds the run's own weights, as they are now. Whether they are weights is for the ranks to see.

    Args:
        request: the execution input.
        models: the bucket of the weights.

    Returns:
        The object and its version, or None where the image's weights predict.

    Raises:
        InvalidEvent: there is no such object.
    """
    if request.model_path is None:
        return None
    found, url = models.head(request.model_path), models.url(request.model_path)
    if found is None:
        raise InvalidEvent(
            f"{url}, which model_path names, does not exist: upload the weights, correct model_path, or leave it "
            "out for the weights in the image",
            key="model_path",
            object=url,
        )
    return ModelObject(request.model_bucket, request.model_path, found.etag)


def _no_gather(world_size: int, waves: Waves) -> str:
    return (
        f"the ranks did not gather by sockets, because {world_size:,} ranks with max_concurrency {waves.concurrency:,} "
        f"work in {waves.count:,} waves and not all at once. Their parts travelled by way of storage"
    )


def _claim(
    results: ObjectStore,
    request: RunRequest,
    key: str,
    manifest: list[dict[str, Any]],
    started_at: float,
    withheld: str,
) -> tuple[list[Any], list[str]]:
    """Writes the manifest unless another run is at work under the same result path: two would mix their results.

    Returns the manifest that counts, and warnings. An Init that is tried again finds the one that it has written, with
    whose key ranks may be at work by now.
    """
    owner = RunObjects(results, request.execution, request.result_path).metadata
    if results.put_json(key, manifest, if_absent=True, metadata=owner):
        return manifest, []
    there = results.look(key)
    if there is None:
        raise InvalidEvent(f"{results.url(key)} was removed while this run began: start it again")
    earlier = first_item(there.data, results.url(key))
    if earlier.execution == request.execution:
        return list(parse_json(there.data)), []
    free_at = ended_by(earlier)
    if started_at < free_at and not has_summary(results, earlier):
        raise InvalidEvent(
            f"result_path {request.result_path} is in use by the run {earlier.run_id}, which has no summary yet: give "
            "another result_path (or none, so that each run has its own), or wait for it. If it was stopped, remove "
            f"what lies there; without that the path is free at {datetime.fromtimestamp(free_at, UTC):%H:%M} UTC"
        )
    if not results.put_json(key, manifest, if_match=there.etag, metadata=owner):
        raise InvalidEvent(
            f"result_path {request.result_path} was taken by another run in this moment: give another result_path"
        )
    return manifest, _clear(results, request.result_path, (key, withheld))


def _clear(results: ObjectStore, result_path: str, kept: Collection[str]) -> list[str]:
    """Removes the results of the earlier run, and nothing else that lies there; a warning where that is not allowed.

    What is left of that run can then replace nothing of this one, since it knows only versions that are gone.
    """
    prefix = f"{result_path}/"
    try:
        listed = [found.key for found in results.list(prefix)]
        results.delete(key for key in listed if RESULT_NAME.fullmatch(key.removeprefix(prefix)) and key not in kept)
    except InvalidEvent as error:
        return [f"results of an earlier run are left in {results.url(prefix)}: {error}"]
    return []


def has_summary(results: ObjectStore, run: Assignment) -> bool:
    """Looks whether a run has come to its end, and has left its summary.

    Args:
        results: the bucket of its results.
        run: any item of its manifest.
    """
    summary = results.find(f"{run.result_path}/summary.json")
    try:
        return summary is not None and parse_json(summary)["execution"] == run.execution
    except (ValueError, LookupError, TypeError):
        return False


prepare(os.environ)
