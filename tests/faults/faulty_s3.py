"""A proxy before S3 that answers chosen requests as a sick S3 or a sick network would; all others pass.

with FaultyS3("127.0.0.1:4566") as s3:
    s3.faults.append(SickS3("GET", r"/galaxies/3\\.safetensors", rate=1.0))
    ...                                                  # clients use s3.url
"""

import http.client
import re
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
NO_BUCKET = b"<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>"
BUSY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
MISSING = b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"
CONFLICT = b"<Error><Code>ConditionalRequestConflict</Code><Message>Please try again.</Message></Error>"
ANSWERS = {403: DENIED, 404: MISSING, 409: CONFLICT, 503: BUSY}
PIECES_PER_S = 10  # in which a slow body comes
CHUNK = 1 << 16
HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive"}


@dataclass
class SickS3:
    """What happens to requests of a method whose path matches.

    Attributes:
        method: A regular expression of the method.
        path: A regular expression, searched in the path with its query.
        status: What is answered instead of passing the request on, 403, 404, 409 or 503.
        answer: The body of that, where it is not the usual one.
        delay: Seconds before the answer.
        rate: Bytes per second at which the body comes.
        cut: Bytes after which the connection ends by RST.
        lost: Whether the request is passed on and the connection ends without an answer.
        times: How often it happens.
        every: It happens to every so many-th of these requests.
        met: How often it has happened.
        seen: How many such requests there were.
    """

    method: str
    path: str
    status: int | None = None
    answer: bytes | None = None
    delay: float = 0.0
    rate: float | None = None
    cut: int | None = None
    lost: bool = False
    times: float = float("inf")
    every: int = 1
    met: int = field(default=0, init=False)
    seen: int = field(default=0, init=False)

    @property
    def harms(self) -> bool:
        """Whether it does more than to delay the answer."""
        return self.lost or (self.status, self.rate, self.cut) != (None, None, None)

    def takes(self, method: str, path: str) -> bool:
        """Whether it happens to this request, which is counted."""
        if not re.fullmatch(self.method, method) or not re.search(self.path, path):
            return False
        self.seen += 1
        if self.met >= self.times or self.seen % self.every:
            return False
        self.met += 1
        return True


class FaultyS3:
    """The proxy, on a port of its own, as a context manager."""

    def __init__(self, upstream: str) -> None:
        self.faults: list[SickS3] = []
        self.requests: list[tuple[float, str, str]] = []  # monotonic seconds, method and path of each
        self._ended = threading.Event()
        self._lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                owner._answer(self, upstream)

            def log_message(self, *_: object) -> None:
                return

        class Proxy(ThreadingHTTPServer):
            def handle_error(self, request: object, address: object) -> None:
                if not isinstance(sys.exc_info()[1], ConnectionError):  # a client was killed
                    super().handle_error(request, address)  # type: ignore[arg-type]

        self._server = Proxy(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    def of(self, method: str, path: str) -> list[float]:
        """When such requests came."""
        with self._lock:
            return [at for at, verb, target in self.requests if verb == method and re.search(path, target)]

    def _answer(self, handler: BaseHTTPRequestHandler, upstream: str) -> None:
        method, path = handler.command, handler.path
        if handler.headers.get("Expect", "").lower() == "100-continue":
            handler.send_response_only(100)
            handler.end_headers()
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        with self._lock:
            self.requests.append((time.monotonic(), method, path))
            met = [one for one in self.faults if one.takes(method, path)]
        if self._ended.wait(sum(one.delay for one in met)):
            return
        # Two faults at once: one that delays does not hide another, and a refusal leaves no body to harm.
        met.sort(key=lambda one: one.status is None)
        fault = next((one for one in met if one.harms), None)
        if fault is not None and fault.status is not None:
            answer = fault.answer or ANSWERS[fault.status]
            self._send(handler, fault.status, {"Content-Type": "application/xml"}, answer, None)
            return
        connection = http.client.HTTPConnection(upstream, timeout=600)
        headers = {
            name: value for name, value in handler.headers.items() if name.lower() not in {"expect", *HOP_BY_HOP}
        }
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        given = {name: value for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP}
        if fault is not None and fault.lost:
            handler.close_connection = True
        else:
            self._send(handler, answer.status, given, content, fault)
        connection.close()

    def _send(
        self, handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes, fault: SickS3 | None
    ) -> None:
        handler.send_response_only(status)
        for name, value in headers.items():
            if name.lower() != "content-length" or handler.command == "HEAD":
                handler.send_header(name, value)
        if handler.command != "HEAD":
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command == "HEAD":
            return
        try:
            if fault is not None and fault.rate is not None:
                step = max(1, int(fault.rate / PIECES_PER_S))
                for start in range(0, len(body), step):
                    handler.wfile.write(body[start : start + step])
                    if self._ended.wait(step / fault.rate):
                        return
            elif fault is not None and fault.cut is not None:
                handler.wfile.write(body[: fault.cut])
                handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                handler.close_connection = True
            else:
                handler.wfile.write(body)
        except OSError:
            handler.close_connection = True  # the client has given up
