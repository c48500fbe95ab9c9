"""Two rank workers that are invoked again and again, each time for a run of its own in which they meet and gather."""

import json
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.local_cloud import RENDEZVOUS, local_cloud
from tests.integration.system import BUCKET, Events, System, write_galaxies
from tests.soak.readings import Holding, Soaked, settled

RANKS = 2
EACH = 8  # galaxies of a partition, of which every rank has one
SETTLED_S = 0.5  # after an answer: the background thread of a communicator says goodbye


class Runs:
    """The system, and runs in it without the state machine, whose history would only grow."""

    def __init__(self, system: System) -> None:
        self.system = system
        self._client = system.cloud.client("lambda")
        self._pool = ThreadPoolExecutor(RANKS)

    def run(self, name: str) -> None:
        """Init and all ranks. What they wrote is removed, since the endpoint keeps it in memory."""
        given = {"bucket": BUCKET, "data_prefix": "galaxies", "world_size": RANKS, "result_path": name}
        event = {"input": given, "execution": f"arn:{name}", "started_at": "2026-01-01T00:00:00Z"}
        made = self._invoke("init", event)
        items = self.system.json(made["manifest_key"])
        answers = list(self._pool.map(lambda item: self._invoke("rank", {"item": item, "attempt": 0}), items))
        assert answers == [{"rank": rank} for rank in range(RANKS)], answers
        record = self.system.json(f"{name}/0.json")
        assert record["gather_error"] is None, record["gather_error"]
        keys = [{"Key": f"{name}/{key}"} for key in self.system.keys(name)]
        self.system.s3.delete_objects(Bucket=BUCKET, Delete={"Objects": keys})

    def pids(self) -> list[int]:
        """The processes of the ranks."""
        return [event["worker"] for event in self.system.events.of("worker_started") if event["function"] == "rank"]

    def holdings(self) -> list[Holding]:
        """What each rank's process holds, and last the rendezvous server's."""
        time.sleep(SETTLED_S)
        server = self.system.cloud.processes[RENDEZVOUS]  # type: ignore[attr-defined]
        return [Holding.of(pid) for pid in (*self.pids(), server.pid)]

    def _invoke(self, function: str, payload: object) -> Any:
        return json.load(self._client.invoke(FunctionName=function, Payload=json.dumps(payload))["Payload"])


@contextmanager
def runs() -> Iterator[Runs]:
    """Starts everything, and ends it with the block."""
    events = Events()
    with tempfile.TemporaryDirectory() as folder, local_cloud(RANKS, events) as cloud:
        cloud.wait_until_ready()
        system = System(cloud, events)
        system.upload(write_galaxies(Path(folder), RANKS, EACH), "galaxies")
        yield Runs(system)


def soak_ranks(invocations: int, warm_up: int) -> list[Soaked]:
    """Invokes each of the rank processes `warm_up` times, and then so many times."""
    with runs() as system:
        for number in range(warm_up):
            system.run(f"warm-up-{number}")
        before, pids = system.holdings(), system.pids()
        for number in range(invocations):
            system.run(f"soak-{number}")
        after = settled(system.holdings, before)
        assert system.pids() == pids, "a worker has ended"
        names = [*(f"rank process {number}" for number in range(RANKS)), "its rendezvous server"]
        return [Soaked(*each) for each in zip(names, before, after, strict=True)]
