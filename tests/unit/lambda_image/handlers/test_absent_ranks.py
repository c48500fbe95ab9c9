"""What S3 says of ranks that are not connected, over real channels and a bucket in memory."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from lambda_image.comm.communicator import Communicator
from lambda_image.errors import StorageUnavailable
from lambda_image.gather_tree import GroupPlace
from lambda_image.handlers.absent_ranks import LISTED, AbsentRanks
from lambda_image.manifest import result_key
from lambda_image.ownership import RunObjects
from lambda_image.storage import ObjectStore
from tests.unit.lambda_image.comm.local_group import LocalGroup
from tests.unit.lambda_image.handlers.fake_s3 import FakeS3
from tests.unit.lambda_image.test_results import manifest, record

WORLD = 3


class Watched:
    """Rank 0 of a group, of which some ranks are absent, and what it asks of S3."""

    def __init__(self, *absent: int, members: tuple[int, ...] = tuple(range(WORLD)), world_size: int = WORLD) -> None:
        self.group = LocalGroup(len(members), absent)
        self.s3 = FakeS3()
        item = replace(manifest(WORLD)[0], result_path="r", world_size=world_size)
        self.objects = RunObjects(ObjectStore("b", client=self.s3), item.execution, "r")  # type: ignore[arg-type]
        root = self.group.ranks[0]
        self.watch = AbsentRanks(Communicator(root, None), GroupPlace("", members, 0), self.objects, item)

    def give_up(self, who: int, **changes: Any) -> None:
        content = {**record(1), "rank": who, "gather_error": "it went by storage", **changes}
        self.s3.put_object(Key=result_key("r", who), Body=json.dumps(content).encode())

    @property
    def excused(self) -> dict[int, str]:
        return self.group.ranks[0].roster.excused


@pytest.fixture
def watched() -> Iterator[Any]:
    made: list[Watched] = []

    def make(*absent: int, **size: Any) -> Watched:
        made.append(Watched(*absent, **size))
        return made[-1]

    yield make
    for one in made:
        one.group.close()


def test_where_all_are_connected_nothing_is_asked_of_storage(watched):
    here = watched()
    here.watch.look()
    assert here.objects.store.requests.lists == 0


def test_an_object_that_has_not_changed_is_read_once(watched):
    here = watched(1, 2)
    here.give_up(1, gather_error=None)
    here.watch.look()
    here.watch.look()
    assert (here.objects.store.requests.lists, here.objects.store.requests.gets) == (2, 1)
    here.give_up(1)
    here.watch.look()
    assert here.excused.keys() == {1}


def test_the_members_of_a_group_have_the_objects_of_their_ranks_in_the_run(watched):
    here = watched(2, members=(0, 1, 4))
    here.give_up(2)
    here.watch.look()
    assert here.excused == {}
    here.give_up(4)
    here.watch.look()
    assert here.excused == {2: "takes no part in the gather: it went by storage"}


def test_few_ranks_of_a_large_run_are_asked_about_one_by_one(watched):
    here = watched(2, members=(0, 1, 4), world_size=2 * LISTED)
    here.watch.look()
    here.give_up(4)
    here.watch.look()
    assert here.excused.keys() == {2}
    assert here.objects.store.requests.lists == 0


def test_a_record_that_could_not_be_read_once_is_read_the_next_time(watched):
    here = watched(1)
    here.give_up(1)
    answers, here.s3.get_object = here.s3.get_object, busy
    with pytest.raises(StorageUnavailable):
        here.watch.look()
    here.s3.get_object = answers
    here.watch.look()
    assert here.excused.keys() == {1}


def busy(**_: object) -> dict[str, Any]:
    raise FakeS3._refusal("SlowDown", 503)
