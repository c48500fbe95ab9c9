import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from scripts.aws_endpoint import AwsEndpoint, EndpointError


def function(idle: int, running: int = 0) -> dict[str, Any]:
    return {"ready": idle + running > 0, "idle": idle, "running": running, "start_errors": []}


@contextmanager
def answering(**functions: dict[str, Any]) -> Iterator[AwsEndpoint]:
    health = {"ready": all(each["ready"] for each in functions.values()), "functions": functions}

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(health).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield AwsEndpoint(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


def test_enough_workers_are_ready() -> None:
    with answering(init=function(1), rank=function(4), summarize=function(1)) as endpoint:
        endpoint.wait_until_ready(4, 5.0)


@pytest.mark.parametrize(
    ("init", "rank", "lacking"),
    [
        (function(1), function(2, 1), "3 of 4 ranks are up: start the others"),
        (function(0), function(4), "no worker of init is up"),
        (function(1), function(3, 1), "workers are busy with other runs"),
    ],
)
def test_what_is_lacking_is_said_in_one_line(init: dict[str, Any], rank: dict[str, Any], lacking: str) -> None:
    with (
        answering(init=init, rank=rank, summarize=function(1)) as endpoint,
        pytest.raises(EndpointError, match=f"not ready within 0.05 s: {lacking}") as caught,
    ):
        endpoint.wait_until_ready(4, 0.05)
    assert "\n" not in str(caught.value)


def test_an_endpoint_that_is_not_there() -> None:
    with answering(rank=function(1)) as gone:
        pass
    with pytest.raises(EndpointError, match="there was no answer"):
        gone.wait_until_listening(0.05)
