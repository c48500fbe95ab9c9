"""Runs whose ranks are processes of the test: each with variables of its own, behind an S3 that may be faulty."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from statemachine.definition import definition
from statemachine.local.settings import ACCOUNT, function_arn
from tests.faults.faulty_s3 import FaultyS3
from tests.faults.held_rank import PHASE
from tests.faults.worker import go_on
from tests.integration.communicators import serving
from tests.integration.local_endpoint import Endpoint, eventually
from tests.integration.system import write_galaxies

BUCKET = "faults"
KEY = "5e" * 32


@dataclass
class Worker:
    """A rank worker, and what it has logged."""

    process: subprocess.Popen[str]
    events: list[dict[str, Any]]

    def phases(self, phase: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event.get("phase") == phase]

    def wait_for(self, phase: str) -> None:
        eventually(lambda: self.phases(phase) or self.process.poll() is not None)
        assert self.phases(phase), "the worker has ended"

    def stop(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)


class FaultyRuns:
    """A local endpoint, a rendezvous server and rank workers."""

    def __init__(self, endpoint: Endpoint, s3: FaultyS3, rendezvous: str) -> None:
        self.endpoint, self.s3, self.rendezvous = endpoint, s3, rendezvous
        self.client = endpoint.client("s3")
        self.client.create_bucket(Bucket=BUCKET)
        self.workers: list[Worker] = []
        self._freezes: dict[tuple[int, str], Worker | None] = {}  # by rank and phase, with the one that was frozen

    def add_worker(self, **environ: str) -> Worker:
        """Starts a worker, which is ready when it has been given work."""
        base = {
            **os.environ,
            "AWS_LAMBDA_RUNTIME_API": self.endpoint.listening["runtime_apis"]["rank"],
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "3072",
            "AWS_ENDPOINT_URL": self.s3.url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
            "RENDEZVOUS_ENDPOINT": self.rendezvous,
            "RENDEZVOUS_KEY": KEY,
            "OMP_NUM_THREADS": "1",
            "NO_PROXY": "127.0.0.1,localhost",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", "tests.faults.held_rank.handler"],
            env=base | environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[2],
        )
        worker = Worker(process, [])
        threading.Thread(target=self._follow, args=(worker,), daemon=True).start()
        self.workers.append(worker)
        return worker

    def _follow(self, worker: Worker) -> None:
        assert worker.process.stdout is not None
        for line in worker.process.stdout:
            event = json.loads(line) if line.startswith("{") else {}
            if event:
                worker.events.append(event | {"at": time.monotonic()})
            if event.get("event") == PHASE:
                found = event["rank"], event["phase"]
                if found in self._freezes and self._freezes[found] is None:
                    worker.stop()
                    self._freezes[found] = worker
                go_on(worker.process)

    def freeze(self, rank: int, phase: str) -> None:
        """Has the next worker frozen that comes to a phase as this rank. It does nothing of the phase before."""
        self._freezes[rank, phase] = None

    def frozen(self, rank: int, phase: str) -> Worker:
        """Waits until it is."""
        eventually(lambda: self._freezes[rank, phase])
        worker = self._freezes[rank, phase]
        assert worker is not None
        return worker

    def add_workers(self, count: int) -> None:
        """Starts workers, and waits until all have asked for work."""
        for _ in range(count):
            self.add_worker()
        self.wait_until_ready()

    def reset(self) -> None:
        """Ends all workers, and removes all objects and faults."""
        for worker in self.workers:
            worker.process.kill()
            worker.process.wait()
        self.workers.clear()
        self._freezes.clear()
        self.s3.faults.clear()
        self.s3.requests.clear()
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            for found in page.get("Contents", ()):
                self.client.delete_object(Bucket=BUCKET, Key=found["Key"])

    def wait_until_ready(self) -> None:
        eventually(lambda: self.endpoint.health()["functions"]["rank"]["idle"] == len(self.workers), self.endpoint)

    def upload(self, folder: Path, partitions: int, each: int, prefix: str = "galaxies") -> str:
        galaxies = folder / "galaxies"
        galaxies.mkdir()
        for file in write_galaxies(galaxies, partitions, each).iterdir():
            self.client.upload_file(str(file), BUCKET, f"{prefix}/{file.name}")
        return prefix

    def invoke(self, function: str, payload: object) -> Any:
        answer = self.endpoint.client("lambda").invoke(FunctionName=function, Payload=json.dumps(payload))
        return json.load(answer["Payload"])

    def init(self, name: str, **given: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """A run, and the items of its manifest."""
        event = {"input": {"bucket": BUCKET, **given}, "execution": f"arn:{name}", "started_at": _now()}
        run = self.invoke("init", event)
        return run, self.json(run["manifest_key"])

    def summarize(self, run: dict[str, Any]) -> Any:
        return self.invoke("summarize", {"state": {"run": run, "ranks": []}, "entered_at": _now()})

    def rank(self, item: dict[str, Any], attempt: int = 0) -> "Invoked":
        return Invoked(self, item, attempt)

    def execute(self, **given: Any) -> dict[str, Any]:
        """A whole execution by the state machine, and its description."""
        machines = self.endpoint.client("stepfunctions")
        arns = {f"{name.capitalize()}FunctionArn": function_arn(name) for name in ("init", "rank", "summarize")}
        machine = f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:redshift"
        if not machines.list_state_machines()["stateMachines"]:
            machines.create_state_machine(
                name="redshift", definition=definition(arns), roleArn=f"arn:aws:iam::{ACCOUNT}:role/machine"
            )
        started = machines.start_execution(stateMachineArn=machine, input=json.dumps({"bucket": BUCKET, **given}))
        end: dict[str, Any] = {"status": "RUNNING"}
        while end["status"] == "RUNNING":
            time.sleep(0.05)
            end = machines.describe_execution(executionArn=started["executionArn"])
        return end

    def json(self, key: str) -> Any:
        return json.loads(self.get(key))

    def get(self, key: str) -> bytes:
        content: bytes = self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return content

    def objects(self, prefix: str) -> dict[str, bytes]:
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/").get("Contents", [])
        return {item["Key"].removeprefix(f"{prefix}/"): self.get(item["Key"]) for item in found}


class Invoked:
    """An invocation of a rank that is under way."""

    def __init__(self, runs: FaultyRuns, item: dict[str, Any], attempt: int) -> None:
        self.answer: Any = None
        self.ended_at = 0.0
        self._thread = threading.Thread(target=self._run, args=(runs, item, attempt), daemon=True)
        self._thread.start()

    def _run(self, runs: FaultyRuns, item: dict[str, Any], attempt: int) -> None:
        self.answer = runs.invoke("rank", {"item": item, "attempt": attempt})
        self.ended_at = time.monotonic()

    def end(self, within_s: float = 60.0) -> Any:
        self._thread.join(within_s)
        assert not self._thread.is_alive(), f"not within {within_s} s"
        return self.answer


@contextmanager
def faulty_runs(
    folder: Path, *, rank_timeout_s: float = 900.0, flags: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> Iterator[FaultyRuns]:
    """Starts everything but the rank workers, and ends everything with the block."""
    functions = {"rank": {"workers": 0, "timeout_s": rank_timeout_s}}
    with serving(RENDEZVOUS_KEY=KEY) as (rendezvous, _):
        variables = {"RENDEZVOUS_ENDPOINT": rendezvous, "RENDEZVOUS_KEY": KEY, **(environ or {})}
        endpoint = Endpoint(folder, functions, 1, flags, variables)
        runs: FaultyRuns | None = None
        try:
            eventually(
                lambda: all(endpoint.health()["functions"][name]["ready"] for name in ("init", "summarize")), endpoint
            )
            with FaultyS3(endpoint.url.removeprefix("http://")) as s3:
                runs = FaultyRuns(endpoint, s3, rendezvous)
                yield runs
        finally:
            for worker in runs.workers if runs is not None else ():
                worker.process.kill()
                worker.process.wait()
            endpoint.end(signal.SIGTERM)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
