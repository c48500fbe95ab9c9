"""The first state. It reads the input, finds the partitions, deals them to the ranks and writes the manifest."""

import json
import os
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from lambda_image import process
from lambda_image.errors import InvalidEvent, RunError, StorageUnavailable, with_short_errors
from lambda_image.events import RunRequest, parse
from lambda_image.gather_tree import most_connections, most_held, plan_root, plan_width
from lambda_image.handlers import log
from lambda_image.handlers.finding import find_data, find_model
from lambda_image.handlers.preparing import prepare
from lambda_image.json_text import parse_json
from lambda_image.manifest import STAR, Assignment, Run, assignments, manifest_key
from lambda_image.ownership import JSON_TYPE, TRIES, RunObjects, first_item
from lambda_image.results import RESULT_NAME
from lambda_image.run_time import Waves, ended_by, plan_waves
from lambda_image.settings import HandlerSettings
from lambda_image.shares import begun_run, share_key, withhold
from lambda_image.storage import ObjectStore, Version

RUN_KEY_BYTES = 32
SHARE_TOKEN_BYTES = 8  # of a name that no other try of Init has
EARLIER = "earlier"  # the key of a manifest's metadata that tells that an earlier run had the result path
SHARES_IN_MEMORY = 1 << 20  # bytes; those of more go through /tmp, since Init has 512 MB of memory
WITHOUT_SERVER = "no rendezvous server is named (rendezvous_endpoint), so the ranks gather by way of storage"


@with_short_errors
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answers the state machine.

    Args:
        event: {"input": the execution's input, "execution": its ARN, "started_at": its start, ISO 8601, "attempt": how
            often the state machine has tried before}.
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
    request = warn_without_server(request, event["input"])
    for warning in request.warnings:
        log("warning", message=warning)
    data = ObjectStore(request.data_bucket)
    results = ObjectStore(request.bucket, missing=InvalidEvent)
    models = ObjectStore(request.model_bucket, missing=InvalidEvent)
    again = bool(event.get("attempt"))
    return init(request, data, results, models, started_at, again=again).to_json()


def warn_without_server(request: RunRequest, given: Mapping[str, Any]) -> RunRequest:
    """Adds a warning where nobody has named a rendezvous server, and nobody has said that none is wanted.

    Args:
        request: what is asked for, in which the server that this function knows has its place.
        given: the execution input.
    """
    if request.rendezvous_endpoint is not None or request.world_size == 1 or given.get("fmi_enabled") not in (None, ""):
        return request
    return replace(request, warnings=(*request.warnings, WITHOUT_SERVER))


def init(
    request: RunRequest,
    data: ObjectStore,
    results: ObjectStore,
    models: ObjectStore,
    started_at: float,
    *,
    again: bool = False,
    descriptors: int | None = None,
) -> Run:
    """Writes the manifest of `request`.

    Args:
        request: the execution input.
        data: the bucket of the partitions.
        results: the bucket of the manifest and of the ranks' results.
        models: the bucket of the run's own weights, if it has any.
        started_at: when the execution began, in seconds since the epoch. It is compared with the start of an earlier
            run, which the same clock gave, and never with this function's own time.
        again: whether this is a retry. One that finds the manifest of an earlier try lists and writes nothing, but
            removes what may be left of an earlier run.
        descriptors: how many file descriptors a rank's process may have open; None for as many as this one.

    Returns:
        What the next states must know of the run.

    Raises:
        InvalidEvent: the input does not fit what is in the buckets, or its result path belongs to another run.
        PartitionMissing: there is no partition under the prefix, or no dataset under the key.
        PartitionMalformed: the dataset is none.

    After an error nothing has been written, unless S3 did not answer. A retry takes over what is there then.
    """
    if again and (begun := _begun_before(request, results)) is not None:
        return begun
    model = find_model(request, models)
    dealt = find_data(request, data)
    waves = plan_waves(len(dealt.shares), request.max_concurrency)
    request, width, no_gather = _plan_gather(
        request, len(dealt.shares), waves, process.most_descriptors() if descriptors is None else descriptors
    )
    found = [*dealt.warnings, *no_gather]
    for warning in found:
        log("warning", message=warning)
    run = Run(
        execution=request.execution,
        bucket=request.bucket,
        manifest_key=manifest_key(request.result_path),
        result_path=request.result_path,
        world_size=len(dealt.shares),
        tolerated_failures=request.tolerated_failures,
        started_at=started_at,
        warnings=(*request.warnings, *found),
        max_concurrency=waves.concurrency,
        deal=dealt.by,
    )
    run_key, root = secrets.token_hex(RUN_KEY_BYTES), plan_root(dealt.sizes)
    items = assignments(request, dealt.shares, run_key, started_at, waves.time_limit_s, model, width or STAR, root)
    run = _write(results, run, items, dealt.sizes)
    log(
        "manifest",
        run_id=request.run_id,
        ranks=run.world_size,
        partitions=sum(map(len, dealt.shares)),
        deal=dealt.said or dealt.by,
        gather_width=width if request.fmi_enabled else None,
        gather_root=root if request.fmi_enabled else None,
        object=results.url(run.manifest_key),
    )
    return run


def _begun_before(request: RunRequest, results: ObjectStore) -> Run | None:
    """The run as an earlier try of this Init has begun it, if one has."""
    key = manifest_key(request.result_path)
    if (there := results.look(key)) is None:
        return None
    first = first_item(there.data, results.url(key))
    if first.execution != request.execution or (begun := begun_run(first, results)) is None:
        return None
    return replace(begun, warnings=(*begun.warnings, *_clear_again(results, first, there)))


def _plan_gather(
    request: RunRequest, world_size: int, waves: Waves, descriptors: int
) -> tuple[RunRequest, int | None, list[str]]:
    """Chooses whether the ranks gather by sockets, and the width of their tree; a warning where they cannot."""
    reason = None
    if request.fmi_enabled and not waves.all_at_once:
        reason = (
            f"{world_size:,} ranks with max_concurrency {waves.concurrency:,} work in {waves.count:,} waves and not "
            "all at once"
        )
        request = replace(request, fmi_enabled=False)
    width = planned_width(request, world_size, descriptors)
    if request.fmi_enabled and width is None:
        reason = (
            f"{descriptors:,} file descriptors let a rank be connected to {most_connections(descriptors):,} others, "
            f"which are too few for a tree of {world_size:,} ranks"
        )
        request = replace(request, fmi_enabled=False)
    if reason is None:
        return request, width, []
    storage = "Their parts travelled by way of storage"
    return request, width, [f"the ranks did not gather by sockets, because {reason}. {storage}"]


def planned_width(request: RunRequest, world_size: int, descriptors: int) -> int | None:
    """Chooses in which groups the ranks gather (gather_tree.py), unless the input says so.

    Args:
        request: the execution input.
        world_size: how many ranks there are.
        descriptors: how many file descriptors a rank's process may have open.

    Returns:
        The width of the tree, or None where the ranks cannot gather by sockets.

    Raises:
        InvalidEvent: the input says what no rank has descriptors for.
    """
    connections, width = most_connections(descriptors), request.gather_width
    if not request.fmi_enabled or width is None:
        return plan_width(world_size, connections)
    if (held := most_held(world_size, width)) > connections:
        raise InvalidEvent(
            f"gather_width is {width:,}, by which one of {world_size:,} ranks would be connected to {held:,} others. "
            f"With {descriptors:,} file descriptors {connections:,} are possible: leave gather_width out"
        )
    return width


def _write(results: ObjectStore, run: Run, items: Iterable[Assignment], sizes: Sequence[int] | None) -> Run:
    """Writes the shares and then the manifest, and gives the run that its ranks belong to."""
    from tempfile import SpooledTemporaryFile  # late, as it imports more than all of this

    name = share_key(secrets.token_hex(SHARE_TOKEN_BYTES))
    shares = f"{run.result_path}/{name}"
    with SpooledTemporaryFile(SHARES_IN_MEMORY) as lines:
        manifest = withhold(items, name, lines, run, sizes)
        results.put(shares, lines, metadata=RunObjects(results, run.execution, run.result_path).metadata)
    try:
        earlier, left = _claim(results, run, manifest, shares)
    except InvalidEvent:  # after any other error the manifest may be there, and name them
        with suppress(RunError):
            results.delete([shares])
        raise
    if earlier is None:
        return replace(run, warnings=(*run.warnings, *left))
    with suppress(RunError):  # a try of this Init that nobody heard of has shares of its own
        results.delete([shares])
    return begun_run(earlier, results) or replace(run, world_size=earlier.world_size)


def _claim(
    results: ObjectStore, run: Run, manifest: list[dict[str, Any]], shares: str
) -> tuple[Assignment | None, list[str]]:
    """Writes the manifest unless another run is at work under the same result path: two would mix their results.

    Returns the first item of the manifest that counts where that is another, and warnings. An Init that is tried again
    finds the one that it has written, with whose key ranks may be at work by now.
    """
    key, content = run.manifest_key, json.dumps(manifest, ensure_ascii=False).encode()
    owner = RunObjects(results, run.execution, run.result_path).metadata
    for _ in range(TRIES):
        if results.put(key, content, content_type=JSON_TYPE, if_absent=True, metadata=owner):
            return None, []
        there = results.look(key)
        if there is None:  # removed meanwhile
            continue
        if there.data == content:  # by a write whose answer was lost
            return None, _clear(results, run.result_path, (key, shares))
        earlier = first_item(there.data, results.url(key))
        if earlier.execution == run.execution:
            return earlier, []
        free_at = ended_by(earlier)
        if run.started_at < free_at and not has_summary(results, earlier):
            raise InvalidEvent(
                f"result_path {run.result_path} is in use by the run {earlier.run_id}, which has no summary yet: give "
                "another result_path (or none, so that each run has its own), or wait for it. If it was stopped, "
                f"remove what lies there; without that the path is free at {datetime.fromtimestamp(free_at, UTC):%H:%M}"
                " UTC"
            )
        if run.started_at < earlier.started_at:  # this invocation is one that Lambda delivers once more
            raise InvalidEvent(
                f"result_path {run.result_path} has the results of the run {earlier.run_id}, which began later than "
                "this one: give another result_path"
            )
        taken = {**owner, EARLIER: there.etag.strip('"')}
        if results.put(key, content, content_type=JSON_TYPE, if_match=there.etag, metadata=taken):
            return None, _clear(results, run.result_path, (key, shares))
    raise StorageUnavailable(f"{results.url(key)} was written by others each of {TRIES} times: try again")


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


def _clear_again(results: ObjectStore, first: Assignment, manifest: Version) -> list[str]:
    """Does so in a retry, since the try that took the path may have been lost while it removed things.

    No rank is at work yet: the state machine has not heard of that try.
    """
    if EARLIER not in manifest.metadata or first.share is None:
        return []
    path = first.result_path
    return _clear(results, path, (manifest_key(path), f"{path}/{first.share.key}"))


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
