"""The whole local system under test, and ways to look into it."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lambda_image.data.partition import write_partition
from lambda_image.data.predictions import Predictions
from scripts.aws_endpoint import AwsEndpoint
from scripts.galaxies import Mixture, render

BUCKET = "tests"
WORKERS = 7  # as many as the ranks of the largest run that must gather: ranks in it wait for each other


class Events:
    """What every part of the system logged, and a way to act on an event as soon as it comes."""

    def __init__(self) -> None:
        self._events: list[dict[str, Any]] = []
        self._reactions: list[Callable[[dict[str, Any]], None]] = []
        self._lock = threading.Lock()

    def __call__(self, event: dict[str, Any]) -> None:
        with self._lock:
            self._events.append(event)
            reactions = list(self._reactions)
        for react in reactions:
            react(event)

    def react(self, reaction: Callable[[dict[str, Any]], None]) -> None:
        with self._lock:
            self._reactions.append(reaction)

    def clear(self) -> None:
        with self._lock:
            self._events.clear()
            self._reactions.clear()

    def of(self, kind: str) -> list[dict[str, Any]]:
        with self._lock:
            return [event for event in self._events if event.get("event") == kind]


class System:
    """The local system with a bucket, and executions in it."""

    def __init__(self, cloud: AwsEndpoint, events: Events) -> None:
        self.cloud, self.events = cloud, events
        self.s3 = cloud.client("s3")
        self.s3.create_bucket(Bucket=BUCKET)
        self.machine = cloud.state_machine("redshift")

    def start(self, name: str | None = None, **execution_input: Any) -> str:
        """An execution's ARN."""
        answer = self.cloud.client("stepfunctions").start_execution(
            stateMachineArn=self.machine,
            input=json.dumps({"bucket": BUCKET, **execution_input}),
            **({"name": name} if name else {}),
        )
        return str(answer["executionArn"])

    def run(self, **execution_input: Any) -> dict[str, Any]:
        return self.cloud.wait_for(self.start(**execution_input))

    def invoke(self, function: str, payload: object) -> Any:
        """What the function answers, or the error that it reports."""
        answer = self.cloud.client("lambda").invoke(FunctionName=function, Payload=json.dumps(payload))
        return json.load(answer["Payload"])

    def upload(self, folder: Path, prefix: str) -> None:
        for file in folder.iterdir():
            self.s3.upload_file(str(file), BUCKET, f"{prefix}/{file.name}")

    def keys(self, prefix: str) -> set[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
        return {found["Key"].removeprefix(f"{prefix}/") for page in pages for found in page.get("Contents", ())}

    def get(self, key: str) -> bytes:
        content: bytes = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return content

    def json(self, key: str) -> Any:
        return json.loads(self.get(key))

    def predictions(self, result_path: str) -> Predictions:
        return Predictions.from_parquet(self.get(f"{result_path}/predictions.parquet"))


def write_galaxies(folder: Path, partitions: int, each: int, file_format: str = "safetensors") -> Path:
    """`partitions` files of `each` sample galaxies, named 1, 2, ..."""
    rng = np.random.default_rng(5)
    for number in range(1, partitions + 1):
        magnitudes, redshifts = Mixture.shipped().draw(each, rng)
        file = folder / f"{number}.{file_format}"
        write_partition(file, render(magnitudes, rng), magnitudes, redshifts, file_format=file_format)  # type: ignore[arg-type]
    return folder
