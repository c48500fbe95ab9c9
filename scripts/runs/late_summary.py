"""The summary of a run that ended before its last step, because somebody stopped it or the state machine did."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lambda_image.errors import InvalidEvent, RunError
from lambda_image.events import parse
from lambda_image.handlers.init import has_summary
from lambda_image.handlers.summarize import summarize
from lambda_image.json_text import parse_json
from lambda_image.manifest import Assignment, Run, manifest_key
from lambda_image.shares import begun_run
from lambda_image.storage import ObjectStore
from lambda_image.summary import Summary
from statemachine.local.settings import FUNCTIONS

ENDINGS = {"ABORTED": "was stopped", "TIMED_OUT": "reached the time limit of the state machine", "FAILED": "failed"}


def summarise_late(s3: Any, bucket: str, result_path: str, described: Mapping[str, Any]) -> Summary | None:
    """Writes what Summarize would have written, of what the ranks have left.

    Args:
        s3: a client of the place where the run took place, which may read and write there.
        bucket: of the results.
        result_path: their prefix.
        described: the execution, which has ended, as Step Functions describes it.

    Returns:
        The summary, or None where there is one, or Init has failed, or another run has the path by now.

    Raises:
        InvalidEvent: the bucket may not be read or written.
        StorageUnavailable: S3 does not answer.
    """
    store, arn = ObjectStore(bucket, missing=InvalidEvent, client=s3), described["executionArn"]
    found = store.find(manifest_key(result_path))
    if found is None or described["status"] not in ENDINGS:
        return None
    first = Assignment.from_json(parse_json(found)[0])
    if first.execution != arn or has_summary(store, first):
        return None
    begun = begun_run(first, store) or _run_of_earlier_version(bucket, first, described)
    how = f"the run {ENDINGS[described['status']]} before its last step"
    warnings = (f"{how}, and this summary was made of what its ranks had left", *begun.warnings)
    # What ranks did that had no time to fail is not known, so that no failure is tolerated.
    run = replace(begun, tolerated_failures=0, warnings=warnings)
    wall_s = (described["stopDate"] - described["startDate"]).total_seconds() if "stopDate" in described else None
    return summarize(store, run, {}, wall_s, FUNCTIONS["summarize"].memory_mb)


def _run_of_earlier_version(bucket: str, first: Assignment, described: Mapping[str, Any]) -> Run:
    """What Init returned and kept nowhere, as far as the manifest and the input tell."""
    try:
        warnings = parse(parse_json(described["input"]), first.execution).warnings
    except RunError:  # a deployment may have known what this input does not say, such as a rendezvous server
        warnings = ()
    return Run(
        execution=first.execution,
        bucket=bucket,
        manifest_key=manifest_key(first.result_path),
        result_path=first.result_path,
        world_size=first.world_size,
        tolerated_failures=0,
        started_at=first.started_at,
        warnings=warnings,
    )
