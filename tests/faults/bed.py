"""A whole system whose every process can be reached: a test breaks one part of it, and sees what becomes of a run.

The endpoint keeps no workers. They are processes of this bed, as the containers of docker-compose.yml are, each with an
environment that the test may choose. Between them and S3 stands a proxy that can make S3 fail.
"""

import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.console import Console

from lambda_image.data.partition import read_partition
from lambda_image.data.predictions import Predictions
from lambda_image.model import SHIPPED_MODEL
from lambda_image.model import engine as engines
from lambda_image.process import usable_cpus
from lambda_image.summary import message_of
from scripts.aws_endpoint import POLL_INTERVAL_S, START_TIMEOUT_S, AwsEndpoint, EndpointError
from scripts.runs.tables import run_tables
from statemachine.local.settings import FUNCTIONS, for_this_machine, worker_environment
from tests.faults.faulty_s3 import FaultyS3
from tests.faults.reach import Reach
from tests.faults.worker import ROOT, Worker
from tests.integration.rendezvous import KEY, Server, servers
from tests.integration.system import Events, System, write_galaxies

RANKS = 4
EACH = 30  # galaxies of a partition, of which every rank has one
RANK_TIMEOUT_S = 25.0
CLOSE = 2e-5  # in redshift, between engines and instruction sets
PREFIX = "galaxies"
# A rank stays in the phase that a fault waits for until the fault has come.
HANDLERS = {name: settings.handler for name, settings in FUNCTIONS.items()} | {"rank": "tests.faults.held_rank.handler"}


@dataclass(frozen=True)
class Run:
    """What people get of a run."""

    status: str
    seconds: float  # from the fault, or from the start where there was none before, until the end
    said: str  # everything that summary and error say
    summary: Mapping[str, Any]
    predictions: Predictions | None
    problems: tuple[str, ...] = ()  # what is wrong beside what every run is held against

    @property
    def samples(self) -> int:
        return 0 if self.predictions is None else len(self.predictions)


@dataclass
class Bed:
    """The system. Faults are put into it, and `reset` mends all of them.

    With a `reach`, ranks are on hosts of their own, one each, and the rendezvous server is on another.
    """

    system: System
    events: Events
    storage: FaultyS3
    server: Server
    runtime_apis: Mapping[str, str]
    truth: Mapping[tuple[str, int], float]
    folder: Path
    start_server: Callable[..., Server]
    reach: Reach | None = None
    workers: dict[str, list[Worker]] = field(default_factory=dict)
    fault_at: float = 0.0
    started: float = 0.0
    execution: str = ""  # the ARN of the run that was started last, empty before
    path: str = ""  # where its results go
    given: Mapping[str, Any] = field(default_factory=dict)  # its input
    _number: int = 0

    @property
    def ranks(self) -> list[Worker]:
        return self.workers["rank"]

    def now_broken(self) -> None:
        """Notes when the fault came, from which its deadline counts."""
        self.fault_at = self.fault_at or time.monotonic()

    def start_workers(
        self, function: str, count: int, wrapper: Sequence[str] = (), handler: str | None = None, **environ: str
    ) -> list[Worker]:
        """Starts workers. Those that a wrapper, a handler or an environment makes special serve one run only."""
        settings = worker_environment(
            for_this_machine(os.environ),
            function,
            FUNCTIONS[function],
            runtime_api=self.runtime_apis[function],
            endpoint_url=self.storage.url,
            cpus=usable_cpus(),
        )
        settings |= {
            "OMP_NUM_THREADS": "1",
            "RENDEZVOUS_KEY": KEY,
            "RENDEZVOUS_KEY_FILE": "",
            "RENDEZVOUS_ENDPOINT": self.reach.endpoint if self.reach else f"127.0.0.1:{self.server.port}",
        }
        usual = not (wrapper or handler or environ)
        for _ in range(count):
            host = self._free_host() if function == "rank" and self.reach else 0
            inside = self.reach.wrapper(host) if self.reach and host else ()
            worker = Worker(
                function,
                handler or HANDLERS[function],
                {**settings, **environ},
                self.events,
                (*inside, *wrapper),
                host,
                usual,
            )
            self.workers.setdefault(function, []).append(worker)
        return self.workers.get(function, [])[-count:]

    def _free_host(self) -> int:
        taken = {worker.host for worker in self.workers.get("rank", ())}
        return next(host for host in range(1, RANKS + 2) if host not in taken)

    def stop_workers(self, function: str) -> None:
        for worker in self.workers.pop(function, []):
            worker.stop()

    def on(self, react: Callable[[Worker], None], times: int = 1, **wanted: object) -> None:
        """Has `react` called with the worker that logs an event with these fields, so many times. The fault is then."""

        def react_now(worker: Worker) -> None:
            self.now_broken()
            react(worker)

        self.watch(react_now, times, **wanted)

    def watch(self, react: Callable[[Worker], None], times: int = 1, **wanted: object) -> None:
        """Has `react` called with the worker that logs an event with these fields, so many times."""
        left = [times]

        def look(event: dict[str, Any]) -> None:
            if left[0] and all(event.get(name) == value for name, value in wanted.items()):
                worker = next((w for w in self.ranks if w.pid == event.get("worker")), None)
                if worker is not None:
                    left[0] -= 1
                    react(worker)

        self.events.react(look)

    def start(self, name: str | None = None, **given: Any) -> None:
        """Starts a run."""
        self._number += 1
        self.path = given.get("result_path", f"results/{self._number}")
        usual = {"data_prefix": PREFIX, "world_size": RANKS, "batch_size": 1, "gather_timeout_s": 10}
        self.given = {**usual, **given, "result_path": self.path}
        self.started = time.monotonic()
        self.execution = self.system.start(name, **self.given)

    def finish(self) -> Run:
        """Waits for the end of the run that was started last."""
        described = self.system.cloud.wait_for(self.execution)
        seconds = time.monotonic() - (self.fault_at or self.started)
        return self.look(described, seconds)

    def look(self, described: Mapping[str, Any], seconds: float) -> Run:
        """Reads what lies under the result path now."""
        path = self.path
        keys = self.system.keys(path)
        summary = self.system.json(f"{path}/summary.json") if "summary.json" in keys else {}
        predictions = self.system.predictions(path) if "predictions.parquet" in keys else None
        cause = message_of(described.get("cause") or "")
        records = self.system.json(f"{path}/combined_data.json") if "combined_data.json" in keys else []
        said = "\n".join([described.get("error") or "", cause, *_shown(summary, records)])
        return Run(described["status"], seconds, said, summary, predictions)

    def run(self, **given: Any) -> Run:
        self.start(**given)
        return self.finish()

    def wrong(self, predictions: Predictions) -> list[str]:
        """What is not as it would be without a fault: rows that are there twice, are unknown, or have other values."""
        found = list(zip(predictions.source.tolist(), predictions.row.tolist(), strict=True))
        problems = [f"{len(found) - len(set(found))} rows are there twice"] if len(found) > len(set(found)) else []
        if unknown := [place for place in found if place not in self.truth]:
            problems.append(f"{unknown[0]} is no galaxy of the run")
            return problems
        expected = np.array([self.truth[place] for place in found])
        if len(found) and (gap := float(np.abs(predictions.redshift - expected).max())) > CLOSE:
            problems.append(f"a redshift is off by {gap}")
        return problems

    def _locate(self, event: Mapping[str, Any]) -> None:
        if self.reach is not None and event.get("phase") == "start":
            for worker in self.ranks:
                if worker.pid == event.get("worker"):
                    self.reach.is_at(worker.host, event["rank"])

    def reset(self) -> None:
        """A sound system again, with workers that have begun. Sound ones of an earlier run stay."""
        self.events.clear()
        self.storage.faults.clear()
        if self.reach is not None:
            self.reach.mend()
            self.events.react(self._locate)
        self.fault_at, self.execution, self.path = 0.0, "", ""
        for function, count in (("init", 1), ("summarize", 1), ("rank", RANKS)):
            kept, left = [], self.workers.pop(function, [])
            for worker in left:
                if worker.sound and worker.host <= RANKS and len(kept) < count:
                    kept.append(worker)
                else:
                    worker.stop()
            self.workers[function] = kept
            self.start_workers(function, count - len(kept))
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Waits for all workers. The endpoint remembers why earlier ones could not start until others have."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                return self.system.cloud.wait_until_ready(len(self.ranks))
            except EndpointError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_INTERVAL_S)


@contextmanager
def bed(folder: Path, *flags: str, on_hosts: bool = False) -> Iterator[Bed]:
    """Starts a bed, and ends every process of it.

    Args:
        folder: For its files.
        flags: Of the endpoint.
        on_hosts: Whether ranks are on hosts of their own, which takes a segment.
    """
    with ExitStack() as stack:
        start_server = stack.enter_context(servers(folder))
        events = Events()
        endpoint, listening = _endpoint(stack, folder, *flags)
        storage = stack.enter_context(FaultyS3(endpoint.endpoint_url.removeprefix("http://")))
        system = System(endpoint, events)
        data = write_galaxies(folder / "data", RANKS, EACH)
        system.upload(data, PREFIX)
        runtime_apis = listening["runtime_apis"]
        reach = None
        if on_hosts:
            ports = [int(url.rpartition(":")[2]) for url in (runtime_apis["rank"], storage.url)]
            reach = stack.enter_context(Reach.made(folder, RANKS + 1, ports))
        server = start_server(RENDEZVOUS_KEY=KEY)
        made = Bed(system, events, storage, server, runtime_apis, _truth(), folder, start_server, reach)
        stack.callback(lambda: [made.stop_workers(name) for name in list(made.workers)])
        yield made


def _endpoint(stack: ExitStack, folder: Path, *flags: str) -> tuple[AwsEndpoint, dict[str, Any]]:
    functions = folder / "functions.json"
    functions.write_text(json.dumps({"rank": {"timeout_s": RANK_TIMEOUT_S}}))
    command = [sys.executable, "-m", "statemachine.local", "--port", "0", "--workers", "0", "--functions", functions]
    command += flags
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    stack.callback(process.wait, 20)
    stack.callback(process.terminate)
    assert process.stdout is not None
    listening = json.loads(process.stdout.readline())
    output = process.stdout
    threading.Thread(target=lambda: [None for _ in output], daemon=True).start()
    endpoint = AwsEndpoint(f"http://127.0.0.1:{listening['port']}")
    endpoint.wait_until_listening()
    return endpoint, listening


def _shown(summary: Mapping[str, Any], records: list[Any]) -> Iterator[str]:
    """What a command shows of a run."""
    if summary and records:
        console = Console(width=400, file=io.StringIO())
        with console.capture() as captured:
            console.print(run_tables(summary, records))
        yield captured.get()
        yield from summary["warnings"]


@cache
def _truth() -> dict[tuple[str, int], float]:
    """By the reference engine, once for all beds, which have the same galaxies."""
    engine = engines.load(SHIPPED_MODEL, usable_cpus(), "eager")
    found = {}
    with TemporaryDirectory() as folder:
        for file in sorted(write_galaxies(Path(folder), RANKS, EACH).iterdir()):
            galaxies = read_partition(file)
            for row, redshift in enumerate(engine.predict(galaxies.images, galaxies.magnitudes)):
                found[f"{PREFIX}/{file.name}", row] = float(redshift)
    return found
