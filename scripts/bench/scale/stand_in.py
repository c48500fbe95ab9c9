"""What the servers that stand in for S3 have in common: objects that were put, counts of requests, answers.

Each is a process of its own, so that its memory and time are not those of what is measured. It prints its port, answers
each line of its input by the counts, and ends with its input.
"""

import hashlib
import json
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar


class StandInObjects:
    """What was put, in files, and how often what was asked."""

    def __init__(self, folder: Path, *counted: str) -> None:
        self.folder, self.counts = folder, dict.fromkeys(counted, 0)
        self.metadata: dict[str, dict[str, str]] = {}  # of objects that were put
        self._lock = threading.Lock()

    def count(self, **counts: int) -> None:
        """Add to the counts of these names."""
        with self._lock:
            for name, count in counts.items():
                self.counts[name] += count

    def file(self, key: str) -> Path:
        """Return where an object that was put lies."""
        return self.folder / hashlib.sha256(key.encode()).hexdigest()


class StandInHandler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    metadata: ClassVar[Mapping[str, str]] = {}  # of every object

    def log_message(self, *_: Any) -> None:
        """Say nothing of a request."""

    def answer(self, status: int, body: bytes, metadata: Mapping[str, str] | None = None) -> None:
        """Send an answer, without the body where only its head was asked for, and with what is told of the object."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"0a"')
        for name, value in (self.metadata if metadata is None else metadata).items():
            self.send_header(f"x-amz-meta-{name}", value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str) -> None:
        """Send an error of S3."""
        self.answer(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())


class StandInServer(ThreadingHTTPServer):
    """Takes as many connections at a time as a function makes."""

    request_queue_size = 128
    daemon_threads = True


def serve(objects: StandInObjects, handler: type[StandInHandler], **told: object) -> None:
    """Serve until the input ends. `told` is printed beside the port."""
    with StandInServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(json.dumps({"port": server.server_port, **told}), flush=True)
        for _ in sys.stdin:
            print(json.dumps(objects.counts), flush=True)
