"""A proxy that answers the first request of each kind as AWS does when it asks to slow down, and passes others on."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

OWN = "/_local/"  # of the local endpoint, which is no part of AWS
JSON, XML = "application/x-amz-json-1.0", "application/xml"
HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class Throttling:
    """What was refused, by the names of operations."""

    def __init__(self, url: str) -> None:
        self.endpoint_url = ""
        self.refused: list[str] = []
        self._target = urlsplit(url)
        self._lock = threading.Lock()

    def refusal(self, method: str, path: str, target: str | None) -> tuple[int, str, str] | None:
        """Status, type and body of an answer; None for a request that is passed on."""
        if path.startswith(OWN):
            return None
        if target is not None:
            kind, answer = target, (400, JSON, '{"__type": "ThrottlingException", "message": "Rate exceeded"}')
        elif path.startswith(("/2015-03-31/", "/2016-08-19/", "/2017-10-31/", "/2019-09-30/")):
            kind = f"Lambda {method} {path.split('?')[0].rsplit('/', 1)[-1]}"
            answer = (429, JSON, '{"Type": "User", "message": "Rate exceeded"}')
        else:
            kind = f"S3 {method}"
            body = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
            answer = (503, XML, body)
        with self._lock:
            if kind in self.refused:
                return None
            self.refused.append(kind)
        return answer

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> http.client.HTTPResponse:
        """Passes a request on."""
        connection = http.client.HTTPConnection(str(self._target.hostname), self._target.port, timeout=60)
        connection.request(method, path, body, headers)
        return connection.getresponse()


@contextmanager
def throttling(url: str) -> Iterator[Throttling]:
    """Starts the proxy before an endpoint."""
    proxy = Throttling(url)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if (refusal := proxy.refusal(self.command, self.path, self.headers.get("X-Amz-Target"))) is not None:
                status, kind, text = refusal
                self._answer(status, {"Content-Type": kind}, text.encode())
                return
            answer = proxy.ask(self.command, self.path, body, dict(self.headers))
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP}
            self._answer(answer.status, kept, answer.read(), answer.getheader("Content-Length"))

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = pass_on  # noqa: N815 - names of http.server's

        def _answer(self, status: int, headers: dict[str, str], body: bytes, length: str | None = None) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            of_head = self.command == "HEAD" and length is not None
            self.send_header("Content-Length", str(length if of_head else len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy.endpoint_url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
