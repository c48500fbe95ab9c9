"""/livez, /readyz and /metrics, served by prometheus_client's handler over the standard library's HTTP server.

Each request has a thread of its own, so that a slow one never keeps the event loop waiting. A thread touches nothing of
the rendezvous server: it asks the loop for a Snapshot, and a loop that does not answer is not alive.
"""

import asyncio
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import TimeoutError as NoAnswer
from contextlib import suppress
from http.server import ThreadingHTTPServer
from typing import Any

from prometheus_client import PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry, MetricsHandler

from rendezvous_server.health_answers import HEALTH_PATHS, health
from rendezvous_server.metrics import Snapshot, SnapshotCollector

LOOP_LIMIT_S = 2.0  # for the loop to answer: it is never busy for a tenth of that
REQUEST_LIMIT_S = 5.0  # for a client to send its request and to take the answer
MAX_REQUESTS = 16  # at a time; a monitoring system and a load balancer have a few
POLL_S = 0.1  # until the thread notices that it is to end


class HealthServer(ThreadingHTTPServer):
    """Answers on a listening socket, in threads, from its construction until `close`. `snapshot` runs in the loop."""

    daemon_threads = True  # a client that dawdles does not keep the process

    def __init__(
        self, listening: socket.socket, snapshot: Callable[[], Snapshot], request_limit_s: float = REQUEST_LIMIT_S
    ) -> None:
        """Must be called inside the event loop."""
        super().__init__(("", 0), _Request, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self._loop = asyncio.get_running_loop()
        self._snapshot = snapshot
        self._request_limit_s = request_limit_s
        self._request_slots = threading.Semaphore(MAX_REQUESTS)
        self._thread = threading.Thread(target=self.serve_forever, args=(POLL_S,), name="http", daemon=True)
        self._thread.start()

    def ask(self) -> Snapshot | None:
        """Returns what the server is at this moment; None if the event loop does not answer."""
        answer = asyncio.run_coroutine_threadsafe(self._snapshot_in_loop(), self._loop)
        try:
            return answer.result(LOOP_LIMIT_S)
        except NoAnswer:
            answer.cancel()
            return None

    def close(self) -> None:
        """Ends the thread that accepts, and closes the socket."""
        self.shutdown()
        self.server_close()

    async def _snapshot_in_loop(self) -> Snapshot:
        return self._snapshot()

    # Called by the base class.

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._request_slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        late = threading.Timer(self._request_limit_s, _cut_off, (request,))
        late.daemon = True
        try:
            late.start()
            super().process_request_thread(request, client_address)
        finally:
            late.cancel()
            self._request_slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that went away is nobody's error
            super().handle_error(request, client_address)


def _cut_off(request: socket.socket) -> None:
    """Ends a connection whose thread reads from it or writes to it."""
    with suppress(OSError):  # it has ended
        request.shutdown(socket.SHUT_RDWR)


class _Request(MetricsHandler):
    server: HealthServer

    def do_GET(self) -> None:  # noqa: N802 - the base class's name
        path = self.path.partition("?")[0]
        if path not in (*HEALTH_PATHS, "/metrics"):
            self._answer(404, "there are /livez, /readyz and /metrics")
            return
        snapshot = self.server.ask()
        if snapshot is None:
            self._answer(503, f"the event loop did not answer within {LOOP_LIMIT_S:g} s")
        elif path == "/metrics":
            self.registry = CollectorRegistry()
            for collector in (SnapshotCollector(snapshot), PROCESS_COLLECTOR, PLATFORM_COLLECTOR):
                self.registry.register(collector)
            super().do_GET()
        else:
            self._answer(*health(path, draining=snapshot.draining, authenticated=snapshot.authenticated))

    def _answer(self, status: int, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
