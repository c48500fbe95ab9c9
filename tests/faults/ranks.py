"""Faults of ranks: their processes end, stand still, come late or come twice."""

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.faults import memory_group
from tests.faults.bed import RANK_TIMEOUT_S, RANKS, Bed, Run, Worker
from tests.faults.fault import Fault, Injection

Given = Iterator[Mapping[str, Any]]


def kill(worker: Worker) -> None:
    worker.signal(signal.SIGKILL)


def killed(phase: str, rank: int, times: int = 1) -> Injection:
    @contextmanager
    def inject(bed: Bed) -> Given:
        bed.on(kill, times, phase=phase, rank=rank)
        yield {}

    return inject


def in_a_tree(inject: Injection) -> Injection:
    """The same where rank 2 is a leaf of rank 1, which is an inner rank, and rank 3 has no leaves."""

    @contextmanager
    def inject_there(bed: Bed) -> Given:
        with inject(bed) as given:
            yield {**given, "gather_width": 2}

    return inject_there


@contextmanager
def killed_in_import(bed: Bed) -> Given:
    bed.stop_workers("rank")
    for worker in bed.start_workers("rank", RANKS):
        kill(worker)
    bed.now_broken()
    yield {}


def after(seconds: float, act: Any, *arguments: Any) -> None:
    timer = threading.Timer(seconds, act, arguments)
    timer.daemon = True
    timer.start()


@contextmanager
def stopped_beyond_its_timeout(bed: Bed) -> Given:
    def stop(worker: Worker) -> None:
        worker.signal(signal.SIGSTOP)
        # Lambda ends an environment whose invocation timed out, and workers from outside are left to themselves.
        after(RANK_TIMEOUT_S + 1, kill_if_it_is, worker, worker.pid)

    bed.on(stop, phase="inference", rank=2)
    yield {}


def kill_if_it_is(worker: Worker, pid: int) -> None:
    if worker.pid == pid:
        kill(worker)


@contextmanager
def never_started(bed: Bed) -> Given:
    """An environment takes an invocation, and nothing more is heard of it."""
    worker = bed.ranks[0]
    worker.signal(signal.SIGSTOP)
    bed.now_broken()
    after(RANK_TIMEOUT_S + 1, kill_if_it_is, worker, worker.pid)
    yield {}


@contextmanager
def without_address_space(bed: Bed) -> Given:
    bed.stop_workers("rank")
    bed.start_workers("rank", RANKS, handler="tests.faults.other_handlers.without_address_space")
    bed.wait_until_ready()
    yield {}


@contextmanager
def out_of_memory(bed: Bed) -> Given:
    """As where a function takes more memory than it has: the kernel kills it."""
    with memory_group.MemoryGroup() as group:

        def limit(worker: Worker) -> None:
            group.take(worker.pid)

        bed.on(limit, phase="inference", rank=2)
        yield {}


def another_version(handler: str) -> Injection:
    @contextmanager
    def inject(bed: Bed) -> Given:
        bed.ranks.pop().stop()
        bed.start_workers("rank", 1, handler=f"tests.faults.other_handlers.{handler}")
        bed.wait_until_ready()
        yield {}

    return inject


@contextmanager
def late_root(bed: Bed) -> Given:
    def stop(worker: Worker) -> None:
        worker.signal(signal.SIGSTOP)
        after(5.0, worker.signal, signal.SIGCONT)

    bed.on(stop, phase="start", rank=0)
    yield {}


@contextmanager
def one_worker_too_few(bed: Bed) -> Given:
    bed.ranks.pop().stop()
    bed.now_broken()
    yield {}


@contextmanager
def delivered_twice(bed: Bed) -> Given:
    bed.start_workers("rank", 1)
    bed.wait_until_ready()
    again: list[threading.Thread] = []

    def deliver(_worker: Worker) -> None:
        def invoke() -> None:
            item = bed.system.json(f"{bed.path}/manifest.json")[1]
            bed.system.invoke("rank", {"item": item, "attempt": 0})

        again.append(threading.Thread(target=invoke, daemon=True))
        again[0].start()

    bed.on(deliver, phase="inference", rank=1)
    yield {}
    for thread in again:
        thread.join(RANK_TIMEOUT_S)


def run_and_look_again(bed: Bed, given: Mapping[str, Any]) -> Run:
    """The result is judged once every worker is idle again, so that what comes late is seen, too."""
    run = bed.run(**given)
    bed.wait_until_ready()
    late = bed.look(bed.system.cloud.wait_for(bed.execution), run.seconds)
    assert late.samples == run.samples
    return late


@contextmanager
def nothing_yet(_bed: Bed) -> Given:
    yield {}


def frozen_at(bed: Bed, *, phase: str, rank: int) -> list[Worker]:
    """Freezes a rank when it comes to a phase. The worker is in the list from then on."""
    frozen: list[Worker] = []

    def freeze(worker: Worker) -> None:
        frozen.append(worker)
        worker.signal(signal.SIGSTOP)

    bed.on(freeze, phase=phase, rank=rank)
    return frozen


def a_later_run_beside_a_zombie(bed: Bed, given: Mapping[str, Any]) -> Run:
    """Rank 0 of a run is frozen in its gather, and wakes when a later run to the same path has succeeded."""
    bed.start_workers("rank", 1)
    bed.wait_until_ready()
    frozen = frozen_at(bed, phase="gather", rank=0)
    bed.run(**given, result_path="results/zombie")
    bed.fault_at = 0.0
    later = bed.run(**given, world_size=RANKS - 1, result_path="results/zombie")
    (zombie,) = frozen
    zombie.signal(signal.SIGCONT)
    bed.wait_until_ready()
    ours = bed.execution.rpartition(":")[2]
    found = bed.look(bed.system.cloud.wait_for(bed.execution), later.seconds)
    records = bed.system.json("results/zombie/combined_data.json")
    assert {record["run_id"] for record in records} == {ours}
    assert found.summary["run_id"] == ours
    assert not bed.system.keys("results/zombie") & {f"{RANKS - 1}.json"}, "an earlier run's record lies beside"
    return found


def a_zombie_beside_its_successor(bed: Bed, given: Mapping[str, Any]) -> Run:
    """Rank 2 is frozen until the state machine has given it up and another attempt is done, and wakes then."""
    bed.start_workers("rank", 1)
    bed.wait_until_ready()
    frozen = frozen_at(bed, phase="inference", rank=2)
    bed.watch(lambda _: frozen[0].signal(signal.SIGCONT), phase="done", rank=2)
    run = bed.run(**given)
    before = bed.system.json(f"{bed.path}/2.json")
    bed.wait_until_ready()
    late = bed.look(bed.system.cloud.wait_for(bed.execution), run.seconds)
    assert before == bed.system.json(f"{bed.path}/2.json"), "the zombie has replaced the record"
    return late


FAULTS = (
    Fault("all ranks are killed while they import", "SIGKILL right after the start", 20, killed_in_import),
    Fault(
        "a rank is killed in inference", "SIGKILL", 20, killed("inference", 2), named=r"rank 2 \(attempt 2\)", fast=True
    ),
    Fault("rank 0 is killed in inference", "SIGKILL", 20, killed("inference", 0), named=r"rank 0 \(attempt 2\)"),
    Fault(
        "a rank is killed in the gather, as sender", "SIGKILL", 20, killed("gather", 3), named=r"rank 3 \(attempt 2\)"
    ),
    Fault("rank 0 is killed in the gather", "SIGKILL", 20, killed("gather", 0), named="rank 0", fast=True),
    *(
        Fault(
            f"{who} of a tree is killed in the gather",
            "SIGKILL",
            20,
            in_a_tree(killed("gather", rank)),
            named=named,
            alone=True,
        )
        for who, rank, named in (
            ("a leaf", 2, r"rank 2 \(attempt 2\)|rank 2: attempt 1"),
            ("an inner rank", 1, "rank 1 was lost and tried again"),
            ("rank 0", 0, "rank 0 was lost and tried again"),
        )
    ),
    Fault(
        "an inner rank of a tree is killed in inference",
        "SIGKILL",
        20,
        in_a_tree(killed("inference", 1)),
        named="rank 1 was lost and tried again",
        alone=True,
    ),
    Fault(
        "a rank is killed whenever it is tried",
        "SIGKILL in each inference",
        40,
        killed("inference", 1, times=99),
        lost=frozenset({1}),
        named=r"rank 1: Runtime\.ExitError",
    ),
    Fault(
        "a rank stands still until its timeout",
        "SIGSTOP in inference",
        RANK_TIMEOUT_S + 25,
        stopped_beyond_its_timeout,
        named=r"rank 2 \(attempt 2\)",
    ),
    Fault(
        "a rank never begins",
        "SIGSTOP of an environment that is given an invocation",
        RANK_TIMEOUT_S + 25,
        never_started,
    ),
    Fault(
        "a rank runs out of address space",
        "RLIMIT_AS as it begins, in each attempt",
        30,
        without_address_space,
        lost=frozenset({2}),
        named="rank 2: (RuntimeError|MemoryError)",
    ),
    Fault(
        "a rank runs out of memory",
        "a memory cgroup, whose OOM killer ends it",
        20,
        out_of_memory,
        named=r"rank 2 \(attempt 2\)",
        lacking=memory_group.lacking,
    ),
    Fault(
        "a rank speaks another version to its peers",
        "another magic number of the channel",
        40,
        another_version("channel"),
        named="speaks version '[59]' of this protocol",
    ),
    Fault(
        "a rank speaks another version to the server",
        "a version that the server does not know",
        40,
        another_version("rendezvous"),
        named="version 0 was offered",
    ),
    Fault("rank 0 comes late", "SIGSTOP of 5 s when it begins", 20, late_root),
    Fault("three workers for four ranks", "a worker less", 30, one_worker_too_few),
    Fault(
        "a rank is delivered twice",
        "the item is invoked again during inference",
        20,
        delivered_twice,
        alone=True,
        fast=True,
        play=run_and_look_again,
    ),
    Fault(
        "a zombie of the same run wakes",
        "SIGSTOP in inference beyond the timeout, SIGCONT when its successor is done",
        RANK_TIMEOUT_S + 25,
        nothing_yet,
        named=r"rank 2 \(attempt 2\)",
        alone=True,
        play=a_zombie_beside_its_successor,
    ),
    Fault(
        "a zombie of an earlier run wakes",
        "SIGSTOP of rank 0 in the gather, SIGCONT after a later run to the same path",
        20,
        nothing_yet,
        alone=True,
        play=a_later_run_beside_a_zombie,
    ),
)
