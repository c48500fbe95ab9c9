"""What functions read back from S3, and what the local endpoint reads of its clients and workers, as targets.

The bucket is in memory. It holds a run of one rank, one of whose objects is the bytes that are tried.
"""

import contextlib
import io
import json
from typing import Any

import numpy as np

from lambda_image.data.predictions import Predictions
from lambda_image.errors import RunError
from lambda_image.events import parse
from lambda_image.handlers.gathering import given_up
from lambda_image.handlers.init import init
from lambda_image.handlers.summarize import summarize
from lambda_image.manifest import Assignment, Run, Slice, result_key
from lambda_image.ownership import RunObjects
from lambda_image.register import RankRegister
from lambda_image.shares import complete, withhold
from lambda_image.storage import ObjectStore
from lambda_image.stretch_file import decode
from statemachine.local.executions_api import QuestionRefusedError, page
from statemachine.local.invoke_api import is_json
from statemachine.local.logs import LogLines, log_event
from statemachine.local.moto_backend import items_problem, too_large, with_name
from statemachine.local.strangers import refusal
from tests.unit.lambda_image.handlers.fake_s3 import FakeS3

EXECUTION = "arn:e:x"
ASSIGNMENT = Assignment(
    EXECUTION, "00" * 32, 0, 1, "b", "r", "d", (Slice("k", (0, 1), "e"),), 512, True, "h:1", 60.0, 1.5
)
TABLE = Predictions.of_partition("k", 0, np.ones((1, 5), np.float32), np.ones(1), np.ones(1)).to_parquet()
RUN = Run(EXECUTION, "b", "r/manifest.json", "r", 1, 0, 1.5, ())
RECORD = result_key("r", 0)


def bucket(**objects: bytes) -> ObjectStore:
    """A bucket with a manifest and a table, and with what is given."""
    client = FakeS3()
    lines = io.BytesIO()
    items = withhold([ASSIGNMENT], "shares/0.jsonl", lines)
    client.objects = {
        "r/manifest.json": json.dumps(items).encode(),
        "r/shares/0.jsonl": lines.getvalue(),
        "r/predictions/0.parquet": TABLE,
        **objects,
    }
    return ObjectStore("b", client=client)  # type: ignore[arg-type]


def summarized(store: ObjectStore) -> None:
    with contextlib.suppress(RunError), contextlib.redirect_stdout(io.StringIO()):
        summarize(store, RUN, {}, 1.0, 128)


def records(data: bytes) -> None:
    """As Summarize reads a rank's record, and as others look whether the rank has given up."""
    store = bucket(**{RECORD: data})
    summarized(store)
    given_up(RunObjects(store, EXECUTION, "r"), ASSIGNMENT, 0)


def registers(data: bytes) -> None:
    """As the next attempt reads it."""
    for tries in (0, 1):
        register = RankRegister(RunObjects(bucket(**{RECORD: data}), EXECUTION, "r"), ASSIGNMENT)
        with contextlib.suppress(RunError):
            claim = register.claim(tries)
            register.write({"attempt": claim.attempt, "rank": 0, "execution": EXECUTION, "error": None})


def combined_results(data: bytes) -> None:
    """As Summarize reads what rank 0 gathered."""
    summarized(bucket(**{"r/combined_data.json": data, "r/predictions.parquet": TABLE}))


def manifests(data: bytes) -> None:
    """As Summarize reads it, and as Init reads that of an earlier run."""
    store = bucket(**{"r/manifest.json": data, "d/1.safetensors": b"x"})
    summarized(store)
    with contextlib.suppress(RunError), contextlib.redirect_stdout(io.StringIO()):
        init(parse({"bucket": "b", "data_prefix": "d", "result_path": "r"}, "arn:e:y"), store, store, store, 1e9)


def shares(data: bytes) -> None:
    store = bucket(**{"r/shares/0.jsonl": data})
    with contextlib.suppress(RunError):
        complete(Assignment.from_json(store.get_json("r/manifest.json")[0]), store)


def stretches(data: bytes) -> None:
    decode(data, EXECUTION)


def worker_lines(data: bytes) -> None:
    """What a worker writes, cut as a pipe cuts it."""
    lines, size = LogLines(), data[0] + 1 if data else 1
    for start in range(1, len(data), size):
        for line in lines.feed(data[start : start + size]):
            log_event(line, "rank", 1)
    lines.feed(b"")


def endpoint_requests(data: bytes) -> None:
    """Bodies, headers and tokens of requests to the local endpoint."""
    is_json(data)
    items_problem(data)
    too_large(with_name(data))
    text = data.decode("latin-1")
    refusal({"Host": text, "Origin": f"http://{text}"})
    given: dict[str, Any] = {"nextToken": text, "maxResults": len(data)}
    with contextlib.suppress(QuestionRefusedError):
        page(range(3), given)


TARGETS = (records, registers, combined_results, manifests, shares, stretches, worker_lines, endpoint_requests)
