"""What a monitoring system is told, over loopback. Slow and broken clients are in tests/integration."""

import asyncio
import http.client
import socket
from collections.abc import Callable
from dataclasses import replace

import pytest

from rendezvous_server.counts import Counts
from rendezvous_server.health import MAX_REQUESTS, HealthServer
from rendezvous_server.metrics import Snapshot

PAUSE_S, HANGING_S = 0.02, 10.0  # between two bytes; which only a test that hangs reaches
ALIVE = Snapshot(False, True, Counts(), 3, {"member": 3}, {}, 1, 0)


def asked(path: str, snapshot: Callable[[], Snapshot] = lambda: ALIVE) -> tuple[int, str]:
    """Status and body of a request for this path."""

    def ask(port: int) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", path)
        answer = connection.getresponse()
        found = answer.status, answer.read().decode()
        connection.close()
        return found

    async def main() -> tuple[int, str]:
        listening = socket.create_server(("127.0.0.1", 0))
        server = HealthServer(listening, snapshot)
        try:
            return await asyncio.to_thread(ask, listening.getsockname()[1])
        finally:
            await asyncio.to_thread(server.close)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("path", "draining", "status", "body"),
    [
        ("/livez", False, 200, "ok\n"),
        ("/livez?verbose", True, 200, "ok\n"),
        ("/readyz", False, 200, "ok\n"),
        ("/readyz", True, 503, "shutting down\n"),
        ("/", False, 404, "there are /livez, /readyz and /metrics\n"),
    ],
)
def test_a_server_that_shuts_down_is_alive_and_not_ready(path: str, draining: bool, status: int, body: str) -> None:
    assert asked(path, lambda: replace(ALIVE, draining=draining)) == (status, body)


def test_metrics_are_those_of_the_moment_and_of_the_process() -> None:
    status, body = asked("/metrics")
    assert status == 200
    assert "rendezvous_connections_open 3.0\n" in body
    assert "process_cpu_seconds_total" in body


def test_there_are_slots_for_several_monitors_and_no_more() -> None:
    async def main() -> list[bool]:
        server = HealthServer(socket.create_server(("127.0.0.1", 0)), lambda: ALIVE)
        taken = [server._request_slots.acquire(blocking=False) for _ in range(MAX_REQUESTS + 1)]
        await asyncio.to_thread(server.close)
        return taken

    assert asyncio.run(main()) == [True] * MAX_REQUESTS + [False]


def test_a_client_that_says_a_little_now_and_then_has_no_slot_for_ever() -> None:
    def trickle(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=PAUSE_S) as sock:
            sock.sendall(b"GET /livez HTTP/1.1\r\nX: ")
            for _ in range(round(HANGING_S / PAUSE_S)):
                try:
                    sock.sendall(b"x")
                    if not sock.recv(1):
                        return
                except TimeoutError:
                    continue
                except ConnectionError:  # a byte came just when it had been ended
                    return
            raise AssertionError("it still has its slot")

    async def main() -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        server = HealthServer(listening, lambda: ALIVE, request_limit_s=10 * PAUSE_S)
        try:
            await asyncio.to_thread(trickle, listening.getsockname()[1])
        finally:
            await asyncio.to_thread(server.close)

    asyncio.run(main())
