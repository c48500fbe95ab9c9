"""The rendezvous image by itself: health, and its end."""

import json
import time
import urllib.request
from collections.abc import Iterator

import pytest
from docker.models.containers import Container
from testcontainers.core.container import DockerContainer

from tests.docker.composition import PATIENCE_S


@pytest.fixture
def server(images: None) -> Iterator[DockerContainer]:
    with DockerContainer("cosmicai-rendezvous").with_exposed_ports(10080).with_kwargs(read_only=True) as server:
        yield server


def health(container: Container) -> str:
    container.reload()
    return container.attrs["State"]["Health"]["Status"]


def test_it_is_healthy_and_a_sigterm_ends_it_in_order(server: DockerContainer):
    container = server.get_wrapped_container()
    deadline = time.monotonic() + PATIENCE_S
    while health(container) != "healthy":
        assert time.monotonic() < deadline, container.attrs["State"]["Health"]
        time.sleep(0.1)
    with urllib.request.urlopen(f"http://127.0.0.1:{server.get_exposed_port(10080)}/metrics", timeout=10) as answer:
        assert b"rendezvous_connections_open" in answer.read()
    assert container.top()["Processes"][0][0] == "993"  # PID 1, and not root
    container.kill("SIGTERM")
    assert container.wait(timeout=PATIENCE_S)["StatusCode"] == 0
    events = [json.loads(line) for line in container.logs(stderr=False).decode().splitlines()]
    assert [event["event"] for event in events[-2:]] == ["closing", "closed"]
