"""Faults of the rendezvous server, and of those who speak to it without being ranks."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path
from typing import Any

from lambda_image.comm.channel.handshake import KEY_BYTES, NONCE_BYTES, PROOF_BYTES, Handshake, HandshakeRefused, Member
from lambda_image.comm.channel.transport import Transport
from rendezvous_server import protocol as p
from rendezvous_server.protocol import ClientConnection, Join
from tests.faults.bed import RANKS, Bed, Worker
from tests.faults.fault import Fault, Injection
from tests.faults.recording_proxy import RecordingProxy
from tests.integration.rendezvous import KEY, Client, Rank, Server, read_exactly, until

Given = Iterator[Mapping[str, Any]]
IDLE = 2_000  # connections
LORIS = 200
GATHERED = "3 direct"  # nobody kept the ranks from each other
MEMBERS = "rendezvous_connections_by_phase member"
LISTENING = "0A"  # in /proc/net/tcp
HIJACK_S = 0.02  # between two tries of an intruder
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


@contextmanager
def killed_between_joins(bed: Bed) -> Given:
    """Ranks wait at their start until the first one has joined, and go on when the server is gone."""
    server = bed.start_server(RENDEZVOUS_KEY=KEY)
    waiting: list[Worker] = []

    def wait(worker: Worker) -> None:
        waiting.append(worker)
        worker.signal(signal.SIGSTOP)

    def kill_once_one_has_joined(_worker: Worker) -> None:
        def act() -> None:
            until(lambda: server.metrics().get(MEMBERS), "rank 0 joins")
            server.process.kill()
            bed.now_broken()
            for worker in waiting:
                worker.signal(signal.SIGCONT)

        threading.Thread(target=act, daemon=True).start()

    bed.watch(kill_once_one_has_joined, phase="start", rank=0)
    for rank in range(1, RANKS):
        bed.watch(wait, phase="start", rank=rank)
    yield endpoint(server.port)


@contextmanager
def beside_a_hijacker(bed: Bed) -> Given:
    """He has the deployment's key and the run's id, and joins as a later attempt of every rank."""

    def intrude(over: threading.Event) -> None:
        while not bed.execution and not over.wait(0.01):
            pass
        run_id = bed.execution.rpartition(":")[2]
        for rank in cycle(range(RANKS)):
            if over.wait(HIJACK_S):
                return
            with suppress(OSError, AssertionError):
                rank_of_his = Rank(bed.server, Join(run_id, rank, RANKS, attempt=p.MAX_ATTEMPT), KEY)
                rank_of_his.hear(p.Joined)
                rank_of_his.sock.close()

    with at_the_same_time(intrude):
        yield {}


@contextmanager
def replayed(bed: Bed) -> Given:
    """Whoever is on the path to the server says again what every rank has said, on connections of his own."""
    with RecordingProxy(bed.server) as proxy:

        def again(over: threading.Event) -> None:
            while not over.wait(HIJACK_S):
                for said in proxy.said():
                    with suppress(OSError), bed.server.connect(said) as sock:
                        sock.settimeout(HIJACK_S)
                        while sock.recv(1 << 12):
                            pass

        with at_the_same_time(again):
            yield endpoint(proxy.port)


@contextmanager
def beside_liars_at_the_ranks(bed: Bed) -> Given:
    """They dial the ports of all ranks as a rank of the run, without its key."""

    def lie(over: threading.Event) -> None:
        while not over.wait(TALK_S):
            for worker in list(bed.ranks):
                for port in listening_ports(worker.pid):
                    with suppress(OSError, HandshakeRefused):
                        claim_to_be_a_rank(port)

    with at_the_same_time(lie):
        yield {}


def claim_to_be_a_rank(port: int) -> None:
    """Goes through the handshake as rank 3 of the run, up to the proof, which is wrong."""
    way = Transport.DIRECT, Member(0, 0)
    handshake = Handshake(
        bytes(KEY_BYTES), Member(3, 0), way=way, encrypted=True, probe=False, nonce=bytes(NONCE_BYTES)
    )
    with socket.create_connection(("127.0.0.1", port), timeout=1.0) as sock:
        sock.sendall(handshake.greet())
        sock.sendall(handshake.feed(read_exactly(sock, handshake.wanted)))
        sock.sendall(bytes(PROOF_BYTES))  # the higher rank's proof, or its nomination
        sock.recv(1)


def listening_ports(pid: int) -> list[int]:
    """The TCP ports on which a process listens."""
    try:
        links = [os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir()]
        table = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    except OSError:  # it has ended
        return []
    own = {link.removeprefix("socket:[").rstrip("]") for link in links}
    rows = [line.split() for line in table]
    return [int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == LISTENING and row[9] in own]


FAULTS = (
    Fault("no rendezvous server", "an address where nobody listens", 25, absent, named=r"127\.0\.0\.1:9"),
    Fault("the server says nothing", "a listener that reads nothing", 40, silent, named="RendezvousTimeout"),
    Fault("the server is killed while ranks infer", "SIGKILL", 25, killed_in("inference", 1), fast=True),
    Fault("the server is killed in the gather", "SIGKILL", 25, killed_in("gather", 1)),
    Fault("the server has another key", "RENDEZVOUS_KEY", 25, other_key, named="RendezvousRejected|another key"),
    Fault(
        "the server is killed between two joins",
        "SIGKILL when rank 0 has joined and no other rank",
        25,
        killed_between_joins,
    ),
    Fault("2,000 idle connections", "they connect and say nothing", 20, beside_a_crowd(IDLE, b""), named=GATHERED),
    Fault(
        "one slow client",
        "one byte each 2 ms, and never a whole request",
        20,
        beside_a_crowd(1, p.MAGIC + b"\x01"),
        named=GATHERED,
    ),
    Fault("200 slow clients", "one byte each 0.4 s", 20, beside_a_crowd(LORIS, p.MAGIC + b"\x01"), named=GATHERED),
    Fault("garbage at full speed", "4 kB each time, by four threads", 20, beside_garbage),
    Fault(
        "strangers join with wrong keys and world sizes",
        "as fast as they can",
        20,
        beside_strangers_who_join,
        named=GATHERED,
    ),
    Fault(
        "a stranger joins as a later attempt of each rank",
        "with the deployment's key and without the run's",
        20,
        beside_a_hijacker,
        named=GATHERED,
        fast=True,
    ),
    Fault(
        "what ranks say to the server is said again",
        "on other connections, for as long as the run lasts",
        20,
        replayed,
        named=GATHERED,
    ),
    Fault(
        "strangers dial the ranks with wrong proofs",
        "all their ports, all the time",
        20,
        beside_liars_at_the_ranks,
        named=GATHERED,
    ),
)
