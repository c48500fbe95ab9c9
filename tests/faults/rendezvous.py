"""Faults of the rendezvous server, and of those who speak to it without being ranks."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import cycle
from typing import Any

from rendezvous_server import protocol as p
from rendezvous_server.protocol import ClientConnection, Join
from tests.faults.bed import RANKS, Bed, Worker
from tests.faults.fault import Fault, Injection
from tests.integration.rendezvous import KEY, Client, Server

Given = Iterator[Mapping[str, Any]]
IDLE = 2_000  # connections
LORIS = 200
TALK_S = 0.002  # between two bytes of the whole crowd


def endpoint(port: int) -> Mapping[str, Any]:
    return {"rendezvous_endpoint": f"127.0.0.1:{port}"}


@contextmanager
def absent(_bed: Bed) -> Given:
    yield endpoint(9)


@contextmanager
def silent(_bed: Bed) -> Given:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as nobody:
        yield endpoint(nobody.getsockname()[1])


def killed_in(phase: str, rank: int) -> Injection:
    @contextmanager
    def inject(bed: Bed) -> Given:
        server = bed.start_server(RENDEZVOUS_KEY=KEY)

        def kill(_worker: Worker) -> None:
            server.process.kill()

        bed.on(kill, phase=phase, rank=rank)
        yield endpoint(server.port)

    return inject


@contextmanager
def other_key(bed: Bed) -> Given:
    yield endpoint(bed.start_server(RENDEZVOUS_KEY="another key").port)


@contextmanager
def at_the_same_time(act: Callable[[threading.Event], None], threads: int = 1) -> Iterator[None]:
    """Has `act` done by threads, which it tells by an event to end, while the block runs."""
    over = threading.Event()
    running = [threading.Thread(target=act, args=(over,), daemon=True) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in running:
            thread.join()


def crowd(server: Server, count: int, say: bytes) -> Callable[[threading.Event], None]:
    """So many connections, each of which says the bytes one by one and again."""

    def act(over: threading.Event) -> None:
        sockets = [server.connect() for _ in range(count)]
        words = {sock: cycle(say) for sock in sockets}
        for sock in cycle(sockets):
            if over.wait(TALK_S):
                break
            if say:
                with suppress(OSError):
                    sock.send(bytes([next(words[sock])]))
        for sock in sockets:
            sock.close()

    return act


def beside_a_crowd(count: int, say: bytes) -> Injection:
    @contextmanager
    def inject(bed: Bed) -> Given:
        with at_the_same_time(crowd(bed.server, count, say)):
            yield {}

    return inject


@contextmanager
def beside_garbage(bed: Bed) -> Given:
    def pour(over: threading.Event) -> None:
        while not over.is_set():
            with suppress(OSError), bed.server.connect() as sock:
                sock.sendall(bytes(range(256)) * 16)

    with at_the_same_time(pour, threads=4):
        yield {}


@contextmanager
def beside_strangers_who_join(bed: Bed) -> Given:
    """They know the run's id, and have no key or another world size."""

    def intrude(over: threading.Event) -> None:
        while not bed.execution and not over.wait(0.01):
            pass
        run_id = bed.execution.rpartition(":")[2]
        for key, world_size in cycle(((b"a wrong key", RANKS), (None, RANKS), (b"a wrong key", 7))):
            if over.is_set():
                return
            with suppress(OSError, AssertionError):
                join = Join(run_id, 1, world_size, attempt=9)
                Client(bed.server, ClientConnection(join, key)).sock.close()

    with at_the_same_time(intrude):
        yield {}


FAULTS = (
    Fault("no rendezvous server", "an address where nobody listens", 25, absent, named=r"127\.0\.0\.1:9", fast=True),
    Fault("the server says nothing", "a listener that reads nothing", 40, silent, named="RendezvousTimeout"),
    Fault("the server is killed while ranks infer", "SIGKILL", 25, killed_in("inference", 1), fast=True),
    Fault("the server is killed in the gather", "SIGKILL", 25, killed_in("gather", 1)),
    Fault("the server has another key", "RENDEZVOUS_KEY", 25, other_key, named="RendezvousRejected"),
    Fault("2,000 idle connections", "they connect and say nothing", 20, beside_a_crowd(IDLE, b"")),
    Fault("200 slow clients", "one byte each 0.4 s", 20, beside_a_crowd(LORIS, p.MAGIC + b"\x01")),
    Fault("garbage at full speed", "4 kB each time, by four threads", 20, beside_garbage),
    Fault("strangers join with wrong keys and world sizes", "as fast as they can", 20, beside_strangers_who_join),
)
