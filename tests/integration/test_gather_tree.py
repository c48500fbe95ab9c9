"""Gathers of runs by star and by tree, in real processes behind the real state machine."""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from lambda_image.data.partition import write_partition
from lambda_image.data.predictions import Predictions
from scripts.aws_endpoint import AwsEndpoint
from tests.integration.communicators import ROOT, serving
from tests.integration.local_endpoint import Endpoint, eventually
from tests.integration.system import System

BUCKET = "tree"
PARTITIONS = 300
HOSTS = 4  # processes that have all ranks of a run
SKEWED = (5113, 187)
NO_TABLES = {"gather_limit": 0}  # travel: parts are empty, and Summarize puts all together

pytestmark = pytest.mark.timeout(300)


class Cloud:
    """A local endpoint with workers of one handler, and a rendezvous server."""

    def __init__(self, endpoint: Endpoint, rendezvous: str) -> None:
        self.endpoint, self.rendezvous = endpoint, rendezvous
        self.aws = AwsEndpoint(endpoint.url)
        self.s3 = self.aws.client("s3")
        self.s3.create_bucket(Bucket=BUCKET)

    def upload(self, folder: Path, sizes: tuple[int, ...]) -> None:
        """Partitions of so many galaxies, whose first magnitudes are all different."""
        first, total = 0, sum(sizes)
        ramp = np.linspace(15, 25, total, dtype=np.float32)
        for place, rows in enumerate(sizes):
            file = folder / f"part-{place}.safetensors"
            magnitudes = np.repeat(ramp[first : first + rows, None], 5, axis=1)
            write_partition(file, np.ones((rows, 5, 32, 32), np.float32), magnitudes, np.full(rows, 0.1, np.float32))
            self.s3.upload_file(str(file), BUCKET, f"galaxies/{file.name}")
            file.unlink()
            first += rows

    def run(self, **given: Any) -> dict[str, Any]:
        """The summary of a run."""
        execution_input = {"bucket": BUCKET, "rendezvous_endpoint": self.rendezvous, "data_prefix": "galaxies", **given}
        started = self.aws.client("stepfunctions").start_execution(
            stateMachineArn=self.aws.state_machine("redshift"), input=json.dumps(execution_input)
        )
        described = self.aws.wait_for(started["executionArn"])
        assert described["status"] == "SUCCEEDED", described.get("cause")
        return dict(self.json(f"{given['result_path']}/summary.json"))

    def run_in_threads(self, **given: Any) -> dict[str, Any]:
        """The same with all ranks at a time, in a few processes, and without the state machine."""
        execution_input = {"bucket": BUCKET, "rendezvous_endpoint": self.rendezvous, "data_prefix": "galaxies", **given}
        now = datetime.now(UTC).isoformat()
        run = self._invoke("init", {"input": execution_input, "execution": f"arn:{uuid4()}", "started_at": now})
        items = self.json(run["manifest_key"])
        hosts = [items[number::HOSTS] for number in range(HOSTS) if items[number::HOSTS]]
        environ = {
            **os.environ,
            "AWS_ENDPOINT_URL": self.endpoint.url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        command = [sys.executable, "-m", "tests.integration.rank_host"]
        processes = []
        for host in hosts:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environ, text=True, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
            )
            assert process.stdin is not None
            process.stdin.write(json.dumps(host) + "\n")
            process.stdin.close()
            processes.append(process)
        assert [process.wait() for process in processes] == [0] * len(hosts)
        return dict(self._invoke("summarize", {"state": {"run": run, "ranks": []}, "entered_at": now}))

    def _invoke(self, function: str, payload: object) -> Any:
        answer = self.aws.client("lambda").invoke(FunctionName=function, Payload=json.dumps(payload))
        return json.load(answer["Payload"])

    def get(self, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def json(self, key: str) -> Any:
        return json.loads(self.get(key))


@contextmanager
def cloud(folder: Path, handler: str, workers: int) -> Iterator[Cloud]:
    with serving() as (rendezvous, _):
        endpoint = Endpoint(folder, {"rank": {"handler": handler}}, workers)
        try:
            eventually(lambda: endpoint.health()["ready"], endpoint)
            yield Cloud(endpoint, rendezvous)
        finally:
            assert endpoint.end(signal.SIGTERM) == 0


def test_by_star_and_by_tree_the_result_is_the_same(system: System, galaxies: str):
    tables, records = [], []
    for width, limits in ((0, {}), (2, {}), (3, {}), (6, {}), (0, NO_TABLES), (3, NO_TABLES)):
        path = f"tree/{width}/{len(limits)}"
        given = {"world_size": 7, "batch_size": 8, "result_path": path, "gather_width": width, **limits}
        ended = system.run(data_prefix=galaxies, **given)
        assert ended["status"] == "SUCCEEDED", ended.get("cause")
        summary = system.json(f"{path}/summary.json")
        assert summary["transports"] == {"self": 1, "direct": 6}
        assert summary["warnings"] == []
        tables.append(system.predictions(path))
        records.append([record["rank"] for record in system.json(f"{path}/combined_data.json")])
    assert records == [list(range(7))] * 6
    for table in tables[1:]:
        assert table.source.tolist() == tables[0].source.tolist()
        assert np.array_equal(table.redshift, tables[0].redshift)


@pytest.mark.parametrize("deal", ["files", "bytes"])
@pytest.mark.parametrize("sizes", [SKEWED, SKEWED[::-1]], ids=["large first", "small first"])
def test_nobody_waits_for_a_rank_with_a_larger_share(tmp_path: Path, deal: str, sizes: tuple[int, int]):
    with cloud(tmp_path, "paced_rank.handler", 2) as here:
        here.upload(tmp_path, sizes)
        summary = here.run(result_path="r", deal=deal, batch_size=64)
        records = [here.json(f"r/{rank}.json") for rank in range(2)]
        assert [record["samples"] for record in records] == list(sizes)
        assert [record["transport"] for record in records] == ["self", "direct"][:: 1 if sizes == SKEWED else -1]
        assert summary["gathered"]
        billed_s = sum(record["phases"]["cold_start_s"] + record["phases"]["total_s"] for record in records)
        assert billed_s > sum(SKEWED) / 1000
        assert summary["waiting_s"] == pytest.approx(sum(record["phases"]["wait_s"] for record in records))
        assert summary["waiting_s"] <= 0.02 * billed_s


@pytest.mark.slow
@pytest.mark.parametrize("world_size", [1, 7, 64, 300])
def test_any_world_size_gives_the_same_predictions_by_star_and_by_tree(tmp_path: Path, world_size: int):
    with cloud(tmp_path, "instant_rank.handler", 1) as here:
        here.upload(tmp_path, (3,) * PARTITIONS)
        for width in (0, math.isqrt(world_size) + 1):
            path = f"r/{width}"
            summary = here.run_in_threads(result_path=path, world_size=world_size, gather_width=width, batch_size=64)
            assert [warning for warning in summary["warnings"] if "gather" in warning] == []
            assert summary["transports"] == {"self": 1} | ({"direct": world_size - 1} if world_size > 1 else {})
            table = Predictions.from_parquet(here.get(f"{path}/predictions.parquet"))
            places = [place for place in range(PARTITIONS) for _ in range(3)]
            assert table.source.tolist() == [f"galaxies/part-{place}.safetensors" for place in places]
            assert np.array_equal(table.redshift, np.linspace(15, 25, len(places), dtype=np.float32) / 100)
            assert [record["rank"] for record in here.json(f"{path}/combined_data.json")] == list(range(world_size))
