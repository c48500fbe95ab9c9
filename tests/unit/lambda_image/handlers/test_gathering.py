"""The gather over real channels, with the ranks' records in a bucket in memory."""

import json
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
from lambda_image.handlers.gathering import AbsentRanks, Gathering, GatherOutcome
from lambda_image.manifest import result_key
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
    """A root in its gather, and what the others have done."""

    def __init__(self, absent: tuple[int, ...] = ()) -> None:
        self.group = LocalGroup(WORLD, absent)
        self.s3 = FakeS3()
        self.logged: list[dict[str, Any]] = []
        self.outcomes: dict[int, GatherOutcome] = {}
        self.memory_mb = 1024
        self.limits: dict[str, int] = {}

    def gathering(self, rank: int) -> Gathering:
        item = replace(manifest(WORLD)[rank], result_path="r", **self.limits)  # type: ignore[arg-type]
        objects = RunObjects(ObjectStore("b", client=self.s3), item.execution, "r")  # type: ignore[arg-type]
        log = lambda event, **fields: self.logged.append({"event": event, **fields})  # noqa: E731
        return Gathering(Communicator(self.group.ranks[rank], None), objects, item, log, self.memory_mb, POLL_S)

    def start(self, rank: int, timeout_s: float = TIMEOUT_S) -> threading.Thread:
        def run() -> None:
            named = TABLE.facts(f"r/predictions/{rank}.parquet")
            part = {**record(1), "rank": rank, "predictions": named, "statistics": TABLE.statistics.to_json()}
            self.outcomes[rank] = self.gathering(rank).gather(part, TABLE.content, time.monotonic() + timeout_s)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def give_up(self, who: int, **changes: Any) -> None:
        content = {**record(1), "rank": who, "gather_error": "it went by storage", **changes}
        self.s3.put_object(Key=result_key("r", who), Body=json.dumps(content).encode())


@pytest.fixture
def scene() -> Iterator[Callable[..., Scene]]:
    made: list[Scene] = []

    def make(*absent: int) -> Scene:
        made.append(Scene(absent))
        return made[-1]

    yield make
    for one in made:
        one.group.close()


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
def test_beyond_a_limit_records_are_gathered_and_no_table_is_made(scene, limits: dict[str, int], memory_mb: int):
    here = scene()
    here.limits, here.memory_mb = limits, memory_mb
    assert gathered(here) == {"r/combined_data.json"}


def test_up_to_the_limits_the_table_is_made(scene):
    here = scene()
    here.limits = {"gather_limit": 3 * len(TABLE.content), "combine_limit": 12}
    assert gathered(here) == {"r/combined_data.json", "r/predictions.parquet"}


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


def test_where_all_are_connected_nothing_is_asked_of_storage(scene):
    here = scene()
    item = replace(manifest(WORLD)[0], result_path="r")
    objects = RunObjects(ObjectStore("b", client=here.s3), item.execution, "r")
    AbsentRanks(Communicator(here.group.ranks[0], None), objects, item).look()
    assert objects.store.requests.lists == 0


def test_an_object_that_has_not_changed_is_read_once(scene):
    here = scene(1, 2)
    item = replace(manifest(WORLD)[0], result_path="r")
    objects = RunObjects(ObjectStore("b", client=here.s3), item.execution, "r")
    watch = AbsentRanks(Communicator(here.group.ranks[0], None), objects, item)
    here.give_up(1, gather_error=None)
    watch.look()
    watch.look()
    assert (objects.store.requests.lists, objects.store.requests.gets) == (2, 1)
    here.give_up(1)
    watch.look()
    assert here.group.ranks[0].roster.excused.keys() == {1}


def test_who_waits_for_the_root_hears_that_it_gathers_no_more(scene):
    here = scene(0)
    waiting = here.start(1)
    waiting.join(3 * POLL_S)
    assert waiting.is_alive()
    here.give_up(0, gather_error="rank 0 was lost and tried again")
    began = time.monotonic()
    waiting.join(TIMEOUT_S)
    assert time.monotonic() - began < WITHIN_S
    assert here.outcomes[1] == GatherOutcome("storage", "rank 0 was lost and tried again")
