"""The audit by the real pip-audit, which asks a database of this test."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from scripts.maintenance.audit import TOOL, ask, vulnerabilities

pytestmark = pytest.mark.skipif(not TOOL.is_file(), reason="pip-audit is not installed: make .venv/audit/ready")
RANGES = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.3.0"}]}]
KNOWN = {
    "id": "GHSA-1",
    "summary": "a bad one",
    "published": "2020-01-01T00:00:00Z",
    "affected": [{"package": {"name": "requests", "ecosystem": "PyPI"}, "ranges": RANGES}],
}


class Database(BaseHTTPRequestHandler):
    """Answers as OSV does, and knows one vulnerability."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps({"vulns": [KNOWN]} if asked["package"]["name"] == "requests" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def database() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Database) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def test_each_version_of_each_package_is_asked_about() -> None:
    with database() as url:
        answer = ask({"requests": {"2.0.0", "2.1.0"}, "numpy": {"2.4.0"}}, url, TOOL)
    assert list(vulnerabilities(answer)) == [  # type: ignore[arg-type]
        "requests 2.0.0: GHSA-1, mended in 2.3.0",
        "requests 2.1.0: GHSA-1, mended in 2.3.0",
    ]
    assert {package["name"] for package in answer} == {"requests", "numpy"}  # type: ignore[index]


def test_a_database_that_cannot_be_reached_is_one_line() -> None:
    answer = ask({"requests": {"2.0.0"}}, "http://127.0.0.1:9/", TOOL)
    assert isinstance(answer, str)
    assert answer.startswith("http://127.0.0.1:9/ could not be asked: ")
    assert "\n" not in answer
