"""What AWS refuses before anything is begun, as it comes over the wire."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from scripts.cli import main

ERROR = "<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"


@contextmanager
def refusing(status: int, code: str, message: str) -> Iterator[str]:
    """A service that answers everything with one refusal. Yields its address."""
    body = ERROR.format(code=code, message=message).encode()

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


COMMANDS = [
    ["deploy", "--yes"],
    ["deploy", "--status"],
    ["destroy", "--yes"],
    ["doctor"],
    ["logs", "run-1"],
    ["rendezvous", "up"],
]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("status", "code", "message", "told"),
    [
        (403, "ExpiredToken", "The security token included in the request is expired", "have expired: log in again"),
        (403, "InvalidClientTokenId", "The security token is invalid", "AWS does not know these credentials"),
        (403, "AccessDenied", "User ada is not authorized", "AWS denies GetCallerIdentity: User ada is not authorized"),
    ],
)
def test_a_refusal_is_one_line_with_the_next_step(
    command: list[str], status: int, code: str, message: str, told: str, monkeypatch, capsys, tmp_path
):
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "given")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with refusing(status, code, message) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        assert main([*command, "--region", "eu-west-1"]) == 1
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
