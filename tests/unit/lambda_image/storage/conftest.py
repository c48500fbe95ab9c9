"""A real S3 endpoint (moto's server on loopback), which is kept for all tests of this folder."""

from collections.abc import Iterator

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

from lambda_image.storage import ObjectStore
from tests.unit.lambda_image.storage.prepared_answers import BUCKET


@pytest.fixture(scope="session")
def client() -> Iterator[object]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(s3={"addressing_style": "path"}, retries={"mode": "standard", "total_max_attempts": 2}),
    )
    client.create_bucket(Bucket=BUCKET)
    yield client
    server.stop()


@pytest.fixture
def store(client) -> ObjectStore:
    return ObjectStore(BUCKET, client=client)
