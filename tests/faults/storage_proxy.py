"""An HTTP proxy between the functions and the AWS endpoint, which can make S3 fail in the ways that S3 fails."""

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

CHUNK = 1 << 14
PATIENCE_S = 60.0  # for the endpoint to answer
DROPPED = {"connection", "transfer-encoding", "keep-alive", "content-length"}


@dataclass(frozen=True)
class Asked:
    """A request for S3. `number` counts those that the rules of this fault have seen, from 1."""

    method: str
    key: str  # behind the bucket
    number: int


@dataclass(frozen=True)
class Trouble:
    """What becomes of a request."""

    status: int = 0  # answered instead of the endpoint; 0 lets it answer
    code: str = ""  # S3's name of the error
    bytes_per_s: float = 0.0  # of the answer's body; 0 does not slow it
    cut_after: int = -1  # bytes of the body, and then the connection ends; -1 does not cut


Rule = Callable[[Asked], Trouble | None]


class StorageProxy:
    """Stands before the endpoint. `rule` is asked about every S3 request."""

    def __init__(self, endpoint_url: str) -> None:
        self.rule: Rule | None = None
        self._target = urlsplit(endpoint_url).netloc
        self._count, self._lock = 0, threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def sound(self) -> None:
        """Lets every request through again."""
        self.rule, self._count = None, 0

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def trouble(self, method: str, path: str) -> Trouble:
        key = path.split("?")[0].strip("/").partition("/")[2]
        with self._lock:
            if self.rule is None:
                return Trouble()
            self._count += 1
            return self.rule(Asked(method, key, self._count)) or Trouble()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy, target = self, self._target

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                trouble = proxy.trouble(self.command, self.path)
                if trouble.status:
                    text = f"<Error><Code>{trouble.code}</Code><Message>made to fail</Message></Error>".encode()
                    self.answer(trouble.status, [("Content-Type", "application/xml")], [text], len(text), Trouble())
                    return
                upstream = http.client.HTTPConnection(target, timeout=PATIENCE_S)
                try:
                    headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
                    upstream.request(self.command, self.path, body, headers)
                    found = upstream.getresponse()
                    kept = [(name, value) for name, value in found.getheaders() if name.lower() not in DROPPED]
                    length = found.getheader("Content-Length")
                    size = int(length) if length is not None else None
                    whole = [found.read()] if size is None or self.command == "HEAD" else _chunks(found)
                    if size is None:
                        size = len(whole[0])  # type: ignore[index]
                    self.answer(found.status, kept, whole, size, trouble)
                finally:
                    upstream.close()

            def answer(self, status: int, headers: Any, chunks: Any, size: int, trouble: Trouble) -> None:
                self.send_response_only(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(size))
                self.end_headers()
                sent = 0
                for chunk in chunks:
                    step = max(1, int(trouble.bytes_per_s / 10)) if trouble.bytes_per_s else len(chunk) or 1
                    for start in range(0, len(chunk), step):
                        piece = chunk[start : start + step]
                        if 0 <= trouble.cut_after < sent + len(piece):
                            self.wfile.write(piece[: trouble.cut_after - sent])
                            self.close_connection = True
                            return
                        self.wfile.write(piece)
                        sent += len(piece)
                        if trouble.bytes_per_s:
                            time.sleep(len(piece) / trouble.bytes_per_s)

            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:  # the function has gone
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None: ...

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward  # noqa: N815

        return Handler


def _chunks(found: http.client.HTTPResponse) -> Iterator[bytes]:
    while chunk := found.read(CHUNK):
        yield chunk


@contextmanager
def storage_proxy(endpoint_url: str) -> Iterator[StorageProxy]:
    proxy = StorageProxy(endpoint_url)
    try:
        yield proxy
    finally:
        proxy.close()
