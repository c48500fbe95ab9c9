"""1,000 ranks through the real state machine, Init, rank and Summarize, with an engine that answers at once."""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lambda_image.data.partition import write_partition
from lambda_image.data.predictions import Predictions
from lambda_image.shares import ITEM_LIMIT, item_bytes
from scripts.aws_endpoint import AwsEndpoint
from tests.integration.local_endpoint import Endpoint, eventually

RANKS, BUCKET = 1000, "thousand"
FUNCTIONS = {"rank": {"handler": "instant_rank.handler"}}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[AwsEndpoint]:
    endpoint = Endpoint(tmp_path, FUNCTIONS, workers=3)
    try:
        eventually(lambda: endpoint.health()["ready"], endpoint)
        cloud = AwsEndpoint(endpoint.url)
        cloud.client("s3").create_bucket(Bucket=BUCKET)
        yield cloud
    finally:
        assert endpoint.end(signal.SIGTERM) == 0


def test_a_thousand_ranks_lose_nothing_and_keep_the_order(cloud: AwsEndpoint, tmp_path: Path):
    s3, rng = cloud.client("s3"), np.random.default_rng(1)
    images = rng.normal(1, 0.1, (RANKS, 5, 32, 32)).astype(np.float32)
    magnitudes = np.linspace(15, 25, RANKS * 5, dtype=np.float32).reshape(RANKS, 5)

    def upload(place: int) -> None:
        file = tmp_path / f"{place}.safetensors"
        write_partition(file, images[place : place + 1], magnitudes[place : place + 1], np.array([0.1], np.float32))
        s3.put_object(Bucket=BUCKET, Key=f"galaxies/part-{place}.safetensors", Body=file.read_bytes())

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(upload, range(RANKS)))
    given = {"bucket": BUCKET, "data_prefix": "galaxies", "result_path": "r", "fmi_enabled": False}
    machine = cloud.state_machine("redshift")
    started = cloud.client("stepfunctions").start_execution(stateMachineArn=machine, input=json.dumps(given))
    described = cloud.wait_for(started["executionArn"])
    assert described["status"] == "SUCCEEDED", described.get("cause")

    def get(key: str) -> bytes:
        return bytes(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())

    items = json.loads(get("r/manifest.json"))
    assert len(items) == RANKS
    assert max(map(item_bytes, items)) <= ITEM_LIMIT
    summary = json.loads(get("r/summary.json"))
    assert (summary["ranks_completed"], summary["samples"], summary["deal"]) == (RANKS, RANKS, "files")
    assert summary["failed_ranks"] == []
    table = Predictions.from_parquet(get("r/predictions.parquet"))
    assert table.source.tolist() == [f"galaxies/part-{place}.safetensors" for place in range(RANKS)]
    assert np.array_equal(table.redshift, magnitudes[:, 0] / 100)
