"""moto's S3 and Step Functions on loopback, which starts executions and never runs them."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from scripts.runs.place import Place

BUCKET = "cosmic"


@pytest.fixture(scope="session")
def _clients() -> Iterator[Any]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
    make_client: Any = boto3.client
    made: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in made:
            made[service] = make_client(service, endpoint_url=f"http://{host}:{port}", **keys)
        return made[service]

    yield client
    server.stop()


@pytest.fixture
def place(_clients: Any) -> Place:
    """A place that is no local endpoint, with an empty bucket and a state machine."""
    s3, steps = _clients("s3"), _clients("stepfunctions")
    s3.create_bucket(Bucket=BUCKET)
    for found in s3.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        s3.delete_object(Bucket=BUCKET, Key=found["Key"])
    definition = '{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}'
    role = "arn:aws:iam::123456789012:role/r"
    machine = steps.create_state_machine(name="m", definition=definition, roleArn=role)["stateMachineArn"]
    return Place("the stack m", _clients, "us-east-1", machine, BUCKET, flags=("--stack", "m"))
