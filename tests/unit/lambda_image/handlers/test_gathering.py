"""The gather over real channels, with the ranks' records in a bucket in memory."""

import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lambda_image.comm.channel.handshake import Member
from lambda_image.comm.communicator import Communicator
from lambda_image.data.predictions import Predictions
from lambda_image.gather_tree import GroupPlace, gather_place
from lambda_image.handlers.gathering import ROOT_LATE_S, Gathering, GatherOutcome
from lambda_image.manifest import STAR, result_key
from lambda_image.ownership import RunObjects
from lambda_image.rank_table import RankTable
from lambda_image.storage import ObjectStore
from tests.unit.lambda_image.comm.local_group import LocalGroup
from tests.unit.lambda_image.handlers.fake_s3 import FakeS3
from tests.unit.lambda_image.test_results import manifest, record

WORLD = 3
TIMEOUT_S = 60.0  # of the gather: whoever waits for it fails the test
WITHIN_S = TIMEOUT_S / 2  # on a busy machine, too
POLL_S = 0.05
TABLE = RankTable.of([Predictions.of_partition("d/1.pt", 0, np.zeros((4, 5)), np.full(4, 0.1), np.full(4, 0.2))])


class Scene:
    """Ranks that have joined, those in their gather, and what others have done."""

    def __init__(self, absent: tuple[int, ...] = (), world: int = WORLD, width: int = STAR, root: int = 0) -> None:
        self.world, self.width, self.root = world, width, root
        self.groups: dict[str, LocalGroup] = {}
        for place in (gather_place(rank, world, width, root) for rank in range(world)):
            if place.down is not None:
                members = place.down.members
                absent_here = [number for number, rank in enumerate(members) if rank in absent]
                self.groups[place.down.suffix] = group = LocalGroup(len(members), absent_here)
                for rank in group.ranks:
                    rank.names = members
        self.group = self.groups[""]
        self.s3 = FakeS3()
        self.logged: list[dict[str, Any]] = []
        self.outcomes: dict[int, GatherOutcome] = {}
        self.joined: dict[int, Gathering] = {}
        self.memory_mb = 1024
        self.limits: dict[str, int] = {}
        self.spilled: set[int] = set()  # ranks whose tables are too large to be in memory
        self.sleep: Callable[[float], None] = time.sleep  # of every rank

    def close(self) -> None:
        for gathering in self.joined.values():
            gathering.close()
        for group in self.groups.values():
            group.close()

    def join(self, rank: int) -> Gathering:
        """A rank that gathers takes parts from now on."""
        if rank not in self.joined:
            changes = {"result_path": "r", "gather_width": self.width, "gather_root": self.root, **self.limits}
            item = replace(manifest(self.world)[rank], **changes)  # type: ignore[arg-type]
            objects = RunObjects(ObjectStore("b", client=self.s3), item.execution, "r")  # type: ignore[arg-type]
            log = lambda event, **fields: self.logged.append({"event": event, **fields})  # noqa: E731
            latest = time.monotonic() + 2 * TIMEOUT_S
            self.joined[rank] = Gathering(
                self._communicator, objects, item, log, self.memory_mb, latest, POLL_S, sleep=self.sleep
            )
        return self.joined[rank]

    def start(self, rank: int, timeout_s: float = TIMEOUT_S) -> threading.Thread:
        gathering = self.join(rank)

        table = b"" if rank in self.spilled else TABLE.content

        def run() -> None:
            self.outcomes[rank] = gathering.gather(self.record(rank), table, time.monotonic() + timeout_s)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def record(self, rank: int) -> dict[str, Any]:
        named = TABLE.facts(f"r/predictions/{rank}.parquet")
        return {**record(1), "rank": rank, "predictions": named, "statistics": TABLE.statistics.to_json()}

    def _communicator(self, place: GroupPlace) -> Communicator:
        return Communicator(self.groups[place.suffix].ranks[place.number], None)

    def give_up(self, who: int, **changes: Any) -> None:
        content = {**record(1), "rank": who, "gather_error": "it went by storage", **changes}
        self.s3.put_object(Key=result_key("r", who), Body=json.dumps(content).encode())


@pytest.fixture
def scene() -> Iterator[Callable[..., Scene]]:
    made: list[Scene] = []

    def make(*absent: int, **size: int) -> Scene:
        made.append(Scene(absent, **size))
        return made[-1]

    yield make
    for one in made:
        one.close()


def reset(scene: Scene) -> None:
    """The channel of rank 1 ends by RST, for both."""
    sock = socket.socket(fileno=socket.dup(scene.group.channel(1, 0).fileno()))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.shutdown(socket.SHUT_RDWR)
    sock.close()
    scene.group.channel(1, 0).end("was reset")


def flip(scene: Scene) -> None:
    """A byte comes to rank 0 that rank 1 has not sent so."""
    sock = socket.socket(fileno=socket.dup(scene.group.channel(1, 0).fileno()))
    sock.send(bytes(64))
    sock.close()


def leave(scene: Scene) -> None:
    """Rank 1 vanishes without a word on its channel, and the rendezvous says so."""
    scene.group.ranks[0].roster.left(Member(1, 0), "left the group", time.monotonic())


@pytest.mark.parametrize("lose", [reset, flip, leave])
def test_the_root_does_not_wait_for_a_rank_that_lost_its_channel_and_went_by_storage(scene, lose):
    here = scene()
    root, _ = here.start(0), here.start(2)
    lose(here)
    root.join(0.3)
    assert root.is_alive()  # a newer attempt might come
    here.give_up(1)
    began = time.monotonic()
    root.join(TIMEOUT_S)
    assert time.monotonic() - began < WITHIN_S
    assert "1 of 3 parts did not come" in here.outcomes[0].reason
    assert "rank 1 takes no part in the gather: it went by storage" in here.outcomes[0].reason


def test_a_late_root_does_not_wait_for_those_that_have_gone(scene):
    here = scene(1, 2)
    here.give_up(1)
    here.give_up(2)
    began = time.monotonic()
    here.start(0).join(TIMEOUT_S)
    assert time.monotonic() - began < WITHIN_S
    assert here.outcomes[0].transport == "storage"


def test_the_root_waits_for_a_rank_that_is_connected_whatever_another_delivery_of_it_says(scene):
    here = scene()
    root, _ = here.start(0), here.start(2)
    here.give_up(1, gather_error="the invocation was delivered twice")
    root.join(5 * POLL_S)
    assert root.is_alive()
    here.start(1).join(TIMEOUT_S)
    root.join(TIMEOUT_S)
    assert [here.outcomes[rank].reason for rank in range(WORLD)] == [None] * WORLD
    assert here.outcomes[0].transport == "self"
    assert {"r/predictions.parquet", "r/combined_data.json"} <= here.s3.objects.keys()


def gathered(here: Scene) -> set[str]:
    threads = [here.start(rank) for rank in range(WORLD)]
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert [here.outcomes[rank].reason for rank in range(WORLD)] == [None] * WORLD
    return set(here.s3.objects)


def taken(here: Scene) -> list[int]:
    """Bytes that rank 0 has had from each of the others."""
    return [peer.bytes_received for peer in here.joined[0].communicator.peers()]


def test_all_tables_are_put_together_in_the_order_of_the_ranks(scene):
    here = scene()
    gathered(here)
    assert len(Predictions.from_parquet(here.s3.objects["r/predictions.parquet"])) == 12
    assert [one["rank"] for one in json.loads(here.s3.objects["r/combined_data.json"])] == [0, 1, 2]


@pytest.mark.parametrize(
    ("limits", "memory_mb"),
    [
        ({"gather_limit": 3 * len(TABLE.content) - 1}, 1024),
        ({"gather_limit": 0}, 1024),
        ({"combine_limit": 11}, 1024),
        ({}, 0),
    ],
)
def test_beyond_a_limit_neither_tables_nor_records_travel(scene, limits: dict[str, int], memory_mb: int):
    here = scene()
    here.limits, here.memory_mb = limits, memory_mb
    assert gathered(here) == set()  # all is left to Summarize
    assert [here.outcomes[rank].transport for rank in range(WORLD)] == ["self", "direct", "direct"]
    assert max(taken(here)) < len(json.dumps(here.record(1)))


@pytest.mark.parametrize("spilled", [0, 1])
def test_all_is_left_to_summarize_where_one_rank_has_no_table_in_memory(scene, spilled: int):
    here = scene()
    here.spilled = {spilled}
    assert gathered(here) == set()


def test_through_a_tree_no_record_travels_beyond_the_limits(scene):
    here = scene(**TREE)
    here.limits = {"gather_limit": 0}
    threads = [here.start(rank) for rank in range(7)]
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert [here.outcomes[rank][:2] for rank in range(7)] == [("self", None)] + [("direct", None)] * 6
    assert here.s3.objects == {}
    assert max(taken(here)) < len(json.dumps(here.record(1)))


def test_up_to_the_limits_the_table_is_made(scene):
    here = scene()
    here.limits = {"gather_limit": 3 * len(TABLE.content), "combine_limit": 12}
    assert gathered(here) == {"r/combined_data.json", "r/predictions.parquet"}
    assert min(taken(here)) > len(TABLE.content)


@pytest.mark.parametrize(
    "changes",
    [{"execution": "run-0"}, {"gather_error": None}, {"rank": 2}],
    ids=["another run", "at work", "misplaced"],
)
def test_the_root_waits_for_ranks_that_have_not_given_up(scene, changes):
    here = scene(1)
    here.start(2)
    here.give_up(1, **changes)
    here.start(0, timeout_s=6 * POLL_S).join(TIMEOUT_S)
    assert "had not joined by the deadline" in here.outcomes[0].reason


def test_storage_that_does_not_answer_the_root_costs_it_nothing_but_time(scene):
    here = scene(1)
    here.start(2)
    asked = threading.Event()

    def deny(**_: object) -> None:
        asked.set()
        raise here.s3._refusal("AccessDenied", 403)

    listed, here.s3.list_objects_v2 = here.s3.list_objects_v2, deny
    root = here.start(0)
    assert asked.wait(TIMEOUT_S)
    here.give_up(1)
    here.s3.list_objects_v2 = listed
    root.join(TIMEOUT_S)
    assert "it went by storage" in here.outcomes[0].reason


def test_who_waits_for_the_root_hears_that_it_gathers_no_more(scene):
    here = scene(0)
    waiting = here.start(1)
    waiting.join(3 * POLL_S)
    assert waiting.is_alive()
    here.give_up(0, gather_error="rank 0 was lost and tried again")
    began = time.monotonic()
    waiting.join(TIMEOUT_S)
    assert time.monotonic() - began < WITHIN_S
    assert here.outcomes[1][:2] == ("storage", "rank 0 was lost and tried again")


def test_nobody_waits_for_a_root_beyond_the_deadline(scene):
    here = scene(0)
    began = time.monotonic()
    here.start(1, timeout_s=2 * POLL_S).join(TIMEOUT_S)
    assert time.monotonic() - began < ROOT_LATE_S / 2
    transport, reason, _ = here.outcomes[1]
    assert transport == "storage"
    # What was left of the time when it began to wait, which is a little less where the machine is busy.
    assert re.fullmatch(r"rank 0 had not joined 0\.(1|0\d+) s after this rank's work was done", str(reason)), reason


def test_a_rank_that_is_tried_again_does_not_wait_for_a_root_that_has_gone(scene):
    here = scene()
    here.group.channel(0, 1).close()
    here.group.ranks[1].roster.left(Member(0, 0), "left the group", time.monotonic())
    began = time.monotonic()
    here.start(1).join(TIMEOUT_S)
    assert time.monotonic() - began < WITHIN_S
    assert here.outcomes[1][:2] == ("storage", "rank 0 left the group")


def test_a_root_that_is_lost_for_a_moment_gets_the_part(scene):
    here, pauses = scene(), list[float]()
    roster = here.group.ranks[1].roster
    roster.left(Member(0, 0), "left the group", time.monotonic())

    def seen_again(seconds: float) -> None:
        pauses.append(seconds)
        roster.joined(Member(0, 0), time.monotonic())

    here.sleep = seen_again
    here.join(0)
    here.start(1).join(TIMEOUT_S)
    assert (here.outcomes[1].reason, pauses) == (None, [POLL_S])


# --- nobody waits for a rank that works


def test_a_part_is_taken_while_the_root_still_works(scene):
    here = scene()
    here.join(0)
    for rank in (1, 2):
        here.start(rank).join(TIMEOUT_S)
    assert [here.outcomes[rank].transport for rank in (1, 2)] == ["direct", "direct"]
    assert max(here.outcomes[rank].waited_s for rank in (1, 2)) < WITHIN_S
    here.start(0).join(TIMEOUT_S)
    assert here.outcomes[0].transport == "self"
    assert len(Predictions.from_parquet(here.s3.objects["r/predictions.parquet"])) == 12


def test_who_ends_before_the_last_part_is_there_has_waited_for_it(scene):
    here = scene()
    here.start(1)
    root = here.start(0)
    root.join(10 * POLL_S)
    assert root.is_alive()
    here.start(2).join(TIMEOUT_S)
    root.join(TIMEOUT_S)
    assert here.outcomes[0].waited_s > 5 * POLL_S
    assert here.outcomes[2].waited_s < here.outcomes[0].waited_s


def test_a_rank_that_is_lost_while_the_root_works_may_still_be_started_again(scene):
    here = scene()
    here.join(0)
    here.group.kill(1)
    here.start(2).join(TIMEOUT_S)
    here.group.connect(Member(0, 0), Member(1, 1))
    here.start(1).join(TIMEOUT_S)
    here.start(0).join(TIMEOUT_S)
    assert here.outcomes[0][:2] == ("self", None)


def test_a_part_keeps_the_way_it_came_by_whatever_becomes_of_its_rank(scene):
    here = scene()
    here.join(0)
    for rank in (1, 2):
        here.start(rank).join(TIMEOUT_S)
    here.group.ranks[0].roster.joined(Member(1, 1), time.monotonic())  # lost later, tried again, and not connected yet
    here.join(0).gather(here.record(0), TABLE.content, time.monotonic() + TIMEOUT_S)
    records = json.loads(here.s3.objects["r/combined_data.json"])
    assert [one["transport"] for one in records] == ["self", "direct", "direct"]


def test_a_root_that_fails_takes_nothing_more_and_the_others_hear_so(scene):
    here = scene()
    here.join(0).close()
    here.start(1).join(TIMEOUT_S)
    assert here.outcomes[1].transport == "storage"
    assert "PeerClosed: rank 1, gather: rank 0" in here.outcomes[1].reason


# --- a tree: 0 - (1 - 2, 3), (4 - 5, 6)

TREE = {"world": 7, "width": 3}


@pytest.mark.parametrize("root", [0, 5])
def test_a_tree_gives_the_same_result_as_a_star(scene, root: int):
    results = []
    for width in (STAR, 3):
        here = scene(world=7, width=width, root=root)
        threads = [here.start(rank) for rank in reversed(range(7))]
        for thread in threads:
            thread.join(TIMEOUT_S)
        assert [here.outcomes[rank].reason for rank in range(7)] == [None] * 7
        records = json.loads(here.s3.objects["r/combined_data.json"])
        assert [(one["rank"], one["transport"]) for one in records] == [
            (rank, "self" if rank == root else "direct") for rank in range(7)
        ]
        results.append((here.s3.objects["r/predictions.parquet"], records))
    assert results[0] == results[1]


def test_the_leaves_of_a_tree_are_done_before_anybody_above_them(scene):
    here = scene(**TREE)
    for rank in (0, 1, 4):
        here.join(rank)
    for rank in (2, 3, 5, 6):
        here.start(rank).join(TIMEOUT_S)
        assert here.outcomes[rank].reason is None
    for rank in (1, 4):
        here.start(rank).join(TIMEOUT_S)
        assert here.outcomes[rank].reason is None
    here.start(0).join(TIMEOUT_S)
    assert here.outcomes[0].reason is None


@pytest.mark.parametrize("limits", [{}, {"gather_limit": 0}], ids=["tables", "empty parts"])
def test_rank_0_names_the_leaf_that_an_inner_rank_misses(scene, limits: dict[str, int]):
    here = scene(**TREE)
    here.limits = limits
    threads = [here.start(rank) for rank in (0, 1, 2, 4, 5, 6)]
    here.groups["/1"].kill(2)  # rank 3
    here.give_up(3)
    began = time.monotonic()
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert time.monotonic() - began < WITHIN_S
    assert "1 of 7 parts did not come: rank 1, gather: rank 3 takes no part in the gather" in here.outcomes[0].reason
    assert here.outcomes[1].reason is None


@pytest.mark.parametrize("limits", [{}, {"gather_limit": 0}], ids=["tables", "empty parts"])
def test_the_loss_of_an_inner_rank_costs_its_group_only(scene, limits: dict[str, int]):
    here = scene(**TREE)
    here.limits = limits
    threads = [here.start(rank) for rank in (0, 2, 4, 5, 6)]
    here.groups["/1"].kill(0)
    here.group.kill(1)
    here.give_up(1, gather_error="rank 1 was lost and tried again")
    began = time.monotonic()
    for thread in threads:
        thread.join(TIMEOUT_S)
    late = here.start(3)  # which finds the inner rank gone
    late.join(TIMEOUT_S)
    assert time.monotonic() - began < WITHIN_S
    assert "3 of 7 parts did not come" in here.outcomes[0].reason
    assert "rank 1 was lost and tried again" in here.outcomes[0].reason
    assert [here.outcomes[rank].transport for rank in (2, 3)] == ["storage"] * 2
    assert [here.outcomes[rank].transport for rank in (4, 5, 6)] == ["direct"] * 3


def test_an_inner_rank_does_not_wait_for_leaves_when_rank_0_is_lost(scene):
    here = scene(**TREE)
    inner = here.start(1)
    here.start(2).join(TIMEOUT_S)
    here.group.ranks[1].roster.left(Member(0, 0), "left", time.monotonic())  # as the rendezvous server says
    here.give_up(0, gather_error="rank 0 was lost and tried again")
    began = time.monotonic()
    inner.join(TIMEOUT_S)
    assert time.monotonic() - began < WITHIN_S
    assert here.outcomes[1][:2] == ("storage", "rank 0 was lost and tried again")


def test_an_inner_rank_that_loses_rank_0_for_a_moment_waits_on(scene):
    here = scene(**TREE)
    inner = here.start(1)
    roster = here.group.ranks[1].roster
    roster.left(Member(0, 0), "left", time.monotonic())
    roster.joined(Member(0, 0), time.monotonic())
    inner.join(6 * POLL_S)
    assert inner.is_alive()
    for rank in (2, 3):
        here.start(rank).join(TIMEOUT_S)
    here.join(0)
    inner.join(TIMEOUT_S)
    assert here.outcomes[1].reason is None


def test_an_inner_rank_that_fails_for_good_tells_rank_0(scene):
    here = scene(**TREE)
    threads = [here.start(rank) for rank in (0, 4, 5, 6)]
    here.join(1).withdraw(ValueError("a bad partition"), time.monotonic() + WITHIN_S)
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert (
        "3 of 7 parts did not come: rank 0, gather: rank 1 has given up: ValueError: a bad" in here.outcomes[0].reason
    )


def test_an_inner_rank_that_cannot_join_its_leaves_leaves_the_group_of_rank_0(scene):
    here = scene(**TREE)
    joined: list[Communicator] = []

    def join(place: GroupPlace) -> Communicator:
        if joined:
            raise RuntimeError("can't start new thread")
        joined.append(here._communicator(place))
        return joined[0]

    item = replace(manifest(7)[1], result_path="r", gather_width=3)
    objects = RunObjects(ObjectStore("b", client=here.s3), item.execution, "r")
    with pytest.raises(RuntimeError):
        Gathering(join, objects, item, lambda *_, **__: None, 1024, time.monotonic() + TIMEOUT_S)
    with pytest.raises(ValueError, match="closed"):
        joined[0].wait_for_peer(0, timeout_s=0)
