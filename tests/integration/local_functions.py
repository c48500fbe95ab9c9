"""Handlers for the tests of the local endpoint: the event, or the manifest's item, says what is to happen."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import boto3

from lambda_image import errors


def init(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Writes the items of the execution input as the manifest."""
    given = event["input"]
    if problem := given.get("init_error"):
        raise errors.InvalidEvent(problem)
    key = f"results/{event['execution']}/manifest.json"
    items = [
        {"rank": rank, **item, **({"text": "x" * item["text_bytes"]} if "text_bytes" in item else {})}
        for rank, item in enumerate(given["items"])
    ]
    if not given.get("manifest_lost"):
        boto3.client("s3").put_object(Bucket=given["bucket"], Key=key, Body=json.dumps(items))
    run = {
        "run_id": event["execution"],
        "bucket": given["bucket"],
        "manifest_key": key,
        "world_size": len(items),
        "max_concurrency": 0,
    }
    return run | {"started_at": event["started_at"], "summarize_error": given.get("summarize_error")}


def rank(event: dict[str, Any], context: Any) -> dict[str, Any]:
    item, attempt = event["item"], event["attempt"]
    if attempt < item.get("failures", 0):
        raise getattr(errors, item["raises"])(f"rank {item['rank']}, attempt {attempt}")
    if attempt < item.get("deaths", 0):
        os.kill(os.getpid(), signal.SIGKILL)
    return {"rank": item["rank"], "attempt": attempt, "pid": os.getpid(), "text": item.get("text")}


def summarize(event: dict[str, Any], context: Any) -> dict[str, Any]:
    state = event["state"]
    if problem := state["run"]["summarize_error"]:
        raise errors.TooManyFailures(problem)
    return state


def task(event: dict[str, Any], context: Any) -> Any:
    """Begins (writes its pid to `begun`), waits for the file `until`, and answers."""
    print(json.dumps({"event": "asked", "keys": sorted(event)}))
    print("plain text")
    if "begun" in event:
        Path(event["begun"]).write_text(str(os.getpid()))
    while "until" in event and not Path(event["until"]).exists():
        time.sleep(0.01)
    if "answer_bytes" in event:
        return "x" * (event["answer_bytes"] - len('""'))
    facts = {"pid": os.getpid(), "request_id": context.aws_request_id, "arn": context.invoked_function_arn}
    return facts | {"remaining_ms": context.get_remaining_time_in_millis(), "trace": os.environ["_X_AMZN_TRACE_ID"]}
