"""Ranks against a real rendezvous server: processes where one must die, threads elsewhere.

As a program (`python -m tests.integration.test_communicator SPEC`) this file is one rank of such a test.
"""

import gc
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lambda_image.comm.channel.channel import ChannelSettings
from lambda_image.comm.communicator import Communicator
from lambda_image.errors import (
    PeerClosed,
    PeerTimeout,
    RendezvousRejected,
)
from rendezvous_server.protocol import Topology
from tests.integration.communicators import (
    PATIENCE_S,
    ROOT,
    RUN_KEY,
    SERVER_KEY,
    SHORT_S,
    in_threads,
    join,
    part_of,
    patience,
    serving,
)
from tests.integration.rendezvous import until

LARGE = 8 << 20  # more than socket buffers hold


def digest(part: bytes | bytearray) -> str:
    return hashlib.sha256(part).hexdigest()


def main(spec: dict[str, Any]) -> None:
    """One rank: joins, says "connected" when it has a channel to the root, then does its work."""
    rank = spec["rank"]
    with join(spec["endpoint"], rank, spec["world_size"], spec["run_id"]) as communicator:
        if spec["work"] == "gather":
            gathered = communicator.gather(part_of(rank), deadline=patience())
            transport = communicator.peers()[0].transport if communicator.peers() else None
            parts = [digest(part) for part in gathered.parts] if gathered else None
            print(json.dumps({"transport": transport, "parts": parts}), flush=True)
            return
        until(lambda: any(peer.transport for peer in communicator.peers()))
        if spec["work"] == "half a part":
            threading.Thread(target=communicator.gather, args=(bytes(LARGE),), kwargs={"deadline": patience()}).start()
            until(lambda: communicator.peers()[0].bytes_sent > 0)
        print("connected", flush=True)
        signal.pause()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with serving(RENDEZVOUS_KEY=SERVER_KEY.decode()) as (address, _):
        yield address


@pytest.fixture
def run_id(request: pytest.FixtureRequest) -> str:
    return request.node.name


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(endpoint: str, run_id: str) -> Iterator[Start]:
    """Starts a rank as a process of its own."""
    with ExitStack() as stack:

        def rank(rank: int, world_size: int, work: str = "gather") -> subprocess.Popen[str]:
            spec = {"endpoint": endpoint, "rank": rank, "world_size": world_size, "run_id": run_id, "work": work}
            command = [sys.executable, "-m", "tests.integration.test_communicator", json.dumps(spec)]
            process = stack.enter_context(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
            stack.callback(process.kill)
            return process

        yield rank


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("world_size", [1, 2, 4, 7])
def test_processes_gather_unequal_parts(start: Start, world_size: int) -> None:
    processes = [start(rank, world_size) for rank in range(world_size)]
    results = [json.loads(said(process)) for process in processes]
    assert results[0]["parts"] == [digest(part_of(rank)) for rank in range(world_size)]
    assert all(result == {"transport": "direct", "parts": None} for result in results[1:])
    assert [process.wait() for process in processes] == [0] * world_size


def test_a_world_of_one_needs_no_server(run_id: str) -> None:
    threads = set(threading.enumerate())
    with join(None, 0, 1, run_id) as communicator:
        assert set(threading.enumerate()) <= threads  # earlier tests' threads may end meanwhile
        communicator.barrier(deadline=patience())
        gathered = communicator.gather(b"all", deadline=patience())
        assert gathered is not None
        assert gathered.parts == [b"all"]
        assert communicator.peers() == []


@pytest.mark.parametrize("topology", Topology)
def test_every_operation_over_real_connections(endpoint: str, run_id: str, topology: Topology) -> None:
    world = 4

    def work(rank: int) -> list[Any]:
        with join(endpoint, rank, world, run_id, topology=topology) as communicator:
            results = [
                communicator.bcast(b"from 0" if rank == 0 else None, deadline=patience()),
                communicator.scatter([b"%d" % i for i in range(world)] if rank == 0 else None, deadline=patience()),
                communicator.allgather(np.array([rank]), deadline=patience()),
                communicator.reduce(np.array([rank]), "max", deadline=patience()),
                communicator.allreduce(np.array([rank]), deadline=patience()),
                communicator.scan(np.array([rank + 1]), "prod", deadline=patience()),
            ]
            if rank == 0:
                communicator.send(b"to 3", 3, deadline=patience())
            if rank == 3:
                results.append(communicator.recv(0, deadline=patience()))
            communicator.barrier(deadline=patience())
            return results

    for rank, results in enumerate(in_threads(work, *range(world))):
        assert results[:2] == [b"from 0", b"%d" % rank]
        assert [part.tolist() for part in results[2]] == [[0], [1], [2], [3]]
        assert results[3] is None if rank else results[3].tolist() == [3]
        assert results[4].tolist() == [6]
        assert results[5].tolist() == [[1], [2], [6], [24]][rank]
        assert results[6:] == ([b"to 3"] if rank == 3 else [])


def test_any_rank_can_be_the_root_where_all_know_each_other(endpoint: str, run_id: str) -> None:
    def work(rank: int) -> object:
        with join(endpoint, rank, 3, run_id, topology=Topology.FULL) as communicator:
            return communicator.gather(part_of(rank), root=2, deadline=patience())

    results = in_threads(work, 0, 1, 2)
    assert results[:2] == [None, None]
    assert results[2].parts == [part_of(rank) for rank in range(3)]


def test_tags_can_be_off(endpoint: str, run_id: str) -> None:
    def work(rank: int) -> object:
        with join(endpoint, rank, 2, run_id, settings=ChannelSettings(encrypted=False)) as communicator:
            gathered = communicator.gather(part_of(4), deadline=patience())
            return gathered and gathered.parts

    assert in_threads(work, 0, 1) == [[part_of(4)] * 2, None]


def test_a_rank_that_never_comes_is_named_at_the_deadline(endpoint: str, run_id: str) -> None:
    world, absent = 8, 5

    def work(rank: int) -> object:
        with join(endpoint, rank, world, run_id) as communicator:
            if rank:
                return communicator.gather(part_of(rank), deadline=patience())
            until(lambda: sum(peer.transport is not None for peer in communicator.peers()) == world - 2)
            deadline = time.monotonic() + SHORT_S
            gathered = communicator.gather(part_of(rank), deadline=deadline, allow_missing=True)
            return gathered, time.monotonic() - deadline

    (root, late_s), *others = in_threads(work, *(rank for rank in range(world) if rank != absent))
    assert 0 <= late_s < PATIENCE_S / 2
    assert root.parts == [None if rank == absent else part_of(rank) for rank in range(world)]
    assert list(root.missing) == [absent]
    assert isinstance(root.missing[absent], PeerTimeout)
    assert "rank 5 had not joined by the deadline" in str(root.missing[absent])
    assert others == [None] * 6


def test_many_ranks_gather_in_one_go(endpoint: str, run_id: str) -> None:
    world = 64

    def work(rank: int) -> object:
        with join(endpoint, rank, world, run_id) as communicator:
            return communicator.gather(bytes([rank]) * 1000, deadline=patience())

    root, *others = in_threads(work, *range(world))
    assert root.parts == [bytes([rank]) * 1000 for rank in range(world)]
    assert others == [None] * (world - 1)


def test_results_go_where_the_caller_wants_them_and_are_the_same_bits_by_any_topology(
    endpoint: str, run_id: str
) -> None:
    world, size = 5, 300_000  # large enough to go in pieces where that can be done

    def work(rank: int, topology: Topology) -> list[np.ndarray]:
        own = np.random.default_rng(rank).normal(size=size).astype("f4")
        outs = [np.empty_like(own) for _ in range(4)]
        parts = [np.empty_like(own) for _ in range(world)]
        with join(endpoint, rank, world, f"{run_id} {topology}", topology=topology) as communicator:
            results = [
                communicator.allreduce(own, out=outs[0], deadline=patience()),
                communicator.scan(own, out=outs[1], deadline=patience()),
                communicator.bcast(own if rank == 0 else None, out=outs[2], deadline=patience()),
                *communicator.allgather(own, out=parts, deadline=patience()),
            ]
            if rank == 1:
                communicator.send(own, 0, deadline=patience())
            if rank == 0:
                results.append(communicator.recv(1, out=outs[3], deadline=patience()))
            gathered = communicator.gather(own, out=parts, deadline=patience())
        given = [outs[0], outs[1], own if rank == 0 else outs[2], *parts, *outs[3:]]
        given[3 + rank] = own
        assert all(result is out for result, out in zip(results, given, strict=False))
        assert gathered is None or all(map(np.array_equal, gathered.parts, results[3:]))
        return results

    by_topology = [in_threads(lambda rank, t=topology: work(rank, t), *range(world)) for topology in Topology]  # type: ignore[misc]
    for one, other in zip(*by_topology, strict=True):
        assert [result.tobytes() for result in one] == [result.tobytes() for result in other]


def test_a_killed_rank_is_reported_at_once_and_the_others_parts_are_kept(
    start: Start, endpoint: str, run_id: str
) -> None:
    doomed = [start(2, 4, "linger"), start(3, 4, "half a part")]
    living = start(1, 4)
    with join(endpoint, 0, 4, run_id) as root:
        assert [said(process) for process in doomed] == ["connected", "connected"]
        for process in doomed:
            process.kill()
        began = time.monotonic()
        gathered = root.gather(part_of(0), deadline=patience(), allow_missing=True)
        assert time.monotonic() - began < PATIENCE_S / 2
        assert gathered is not None
        assert gathered.parts == [part_of(0), part_of(1), None, None]
        assert json.loads(said(living))["transport"] == "direct"
        assert {rank: type(error) for rank, error in gathered.missing.items()} == {2: PeerClosed, 3: PeerClosed}
        assert "rank 0, gather: rank 2 closed the connection" in str(gathered.missing[2])
        assert "middle of a frame" in str(gathered.missing[3])


def test_a_death_during_the_wait_ends_it_and_everybody_learns_whose(start: Start, endpoint: str, run_id: str) -> None:
    doomed = start(2, 3, "linger")

    def work(rank: int) -> object:
        with join(endpoint, rank, 3, run_id) as communicator:
            communicator.barrier(deadline=patience())
            return None

    with ThreadPoolExecutor(1) as pool:
        errors = pool.submit(in_threads, work, 0, 1)
        assert said(doomed) == "connected"
        doomed.kill()
        for error in errors.result():
            assert isinstance(error, PeerClosed)
            assert error.peer == 2


def test_who_leaves_after_its_work_has_not_died(endpoint: str, run_id: str) -> None:
    with join(endpoint, 0, 2, run_id) as root:
        with join(endpoint, 1, 2, run_id) as leaver:
            leaver.send(part_of(3), 0, deadline=patience())
        until(lambda: root.peers() and root.peers()[0].lost)
        assert root.recv(1, deadline=patience()) == part_of(3)
        with pytest.raises(PeerClosed, match="rank 1 closed the connection"):
            root.barrier(deadline=patience())


def test_a_newer_attempt_takes_the_place_of_a_dead_one(start: Start, endpoint: str, run_id: str) -> None:
    doomed = start(1, 2, "linger")
    with join(endpoint, 0, 2, run_id) as root:
        assert said(doomed) == "connected"
        doomed.kill()
        with join(endpoint, 1, 2, run_id, attempt=1) as newer, ThreadPoolExecutor(1) as pool:
            until(lambda: root.peers() and root.peers()[0].attempt == 1)
            receipt = pool.submit(newer.gather, b"second try", deadline=patience())
            gathered = root.gather(b"root", deadline=patience())
            assert receipt.result() is None
        assert gathered is not None
        assert gathered.parts == [b"root", b"second try"]


@pytest.mark.parametrize("before_dying", ["linger", "half a part"])
def test_a_gather_may_wait_for_the_retry_of_a_rank_that_dies(
    start: Start, endpoint: str, run_id: str, before_dying: str
) -> None:
    doomed = start(1, 2, before_dying)
    with join(endpoint, 0, 2, run_id) as root, ThreadPoolExecutor(2) as pool:
        assert said(doomed) == "connected"
        waiting = pool.submit(root.gather, b"root", deadline=patience(), allow_missing=True, await_retries=True)
        doomed.kill()
        until(lambda: root.peers()[0].lost)
        with join(endpoint, 1, 2, run_id, attempt=1) as newer:
            assert newer.gather(b"second try", deadline=patience()) is None
            gathered = waiting.result()
    assert gathered is not None
    assert (gathered.parts, gathered.missing) == ([b"root", b"second try"], {})


def test_a_gather_that_waits_for_a_retry_ends_at_its_deadline(start: Start, endpoint: str, run_id: str) -> None:
    doomed = start(1, 2, "linger")
    with join(endpoint, 0, 2, run_id) as root:
        assert said(doomed) == "connected"
        doomed.kill()
        deadline = time.monotonic() + 1.0
        gathered = root.gather(b"root", deadline=deadline, allow_missing=True, await_retries=True)
        assert time.monotonic() >= deadline
    assert gathered is not None
    assert "rank 1 closed the connection" in str(gathered.missing[1])


def test_a_newer_attempt_dismisses_one_that_still_lives(endpoint: str, run_id: str) -> None:
    with join(endpoint, 0, 2, run_id) as root, join(endpoint, 1, 2, run_id) as older:
        until(lambda: root.peers() and root.peers()[0].transport)
        with join(endpoint, 1, 2, run_id, attempt=1) as newer, ThreadPoolExecutor(1) as pool:
            until(lambda: root.peers()[0].attempt == 1)
            until(lambda: older.failure)
            with pytest.raises(RendezvousRejected, match="attempt 1 of this rank has taken its place"):
                older.gather(b"first try", deadline=patience())
            receipt = pool.submit(newer.gather, b"second try", deadline=patience())
            gathered = root.gather(b"root", deadline=patience())
            receipt.result()
        assert gathered is not None
        assert gathered.parts == [b"root", b"second try"]


def test_nothing_is_left_behind(endpoint: str, run_id: str) -> None:
    def descriptors() -> Counter[str]:
        gc.collect()  # another test's garbage is gone before and after
        return Counter(os.readlink(file) for file in Path("/proc/self/fd").iterdir() if file.is_symlink())

    def work(rank: int, world_size: int, name: str) -> None:
        with join(endpoint, rank, world_size, name) as communicator:
            communicator.gather(part_of(rank), deadline=time.monotonic() + SHORT_S, allow_missing=True)

    threads, files = set(threading.enumerate()), descriptors()
    for turn in range(3):
        in_threads(lambda rank, turn=turn: work(rank, 4, f"{run_id} {turn}"), *range(4))  # type: ignore[misc]
    in_threads(lambda rank: work(rank, 3, f"{run_id} incomplete"), 0, 2)
    closed = join(endpoint, 0, 2, f"{run_id} closed at once")
    closed.close()
    closed.close()
    with pytest.raises(ValueError, match="closed"):
        closed.barrier(deadline=patience())
    with join("127.0.0.1:1", 0, 2, run_id):  # nothing listens there
        pass
    assert set(threading.enumerate()) <= threads
    assert not descriptors() - files


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"endpoint": None}, "needs a rendezvous endpoint"),
        ({"endpoint": "rendezvous"}, "host:port"),
        ({"run_key": b"short"}, "32 bytes"),
    ],
)
def test_a_callers_mistake_is_told_at_once(options: dict[str, Any], message: str) -> None:
    given = {"endpoint": "localhost:1", "run_id": "x", "run_key": RUN_KEY, "deadline": 0.0, **options}
    with pytest.raises(ValueError, match=message):
        Communicator.join(given.pop("endpoint"), rank=0, world_size=2, **given)


def test_ranks_and_deadlines_are_checked(run_id: str) -> None:
    with join(None, 0, 1, run_id) as communicator:
        with pytest.raises(ValueError, match="rank 1 in a world of 1"):
            communicator.bcast(b"", root=1, deadline=patience())
        with pytest.raises(ValueError, match="no channel to itself"):
            communicator.send(b"", 0, deadline=patience())
        with pytest.raises(ValueError, match="every wait must end"):
            communicator.barrier(deadline=float("inf"))
        with pytest.raises(ValueError, match="known are sum, min, max, prod"):
            communicator.allreduce(np.ones(1), "mean", deadline=patience())


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
