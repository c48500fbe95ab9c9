import json
from dataclasses import replace
from typing import Any

import pytest

from lambda_image.errors import RunSuperseded
from lambda_image.manifest import manifest_key, result_key
from lambda_image.ownership import RunObjects
from lambda_image.register import Claim, RankRegister
from lambda_image.storage import ObjectStore
from tests.unit.lambda_image.handlers.fake_s3 import FakeS3
from tests.unit.lambda_image.test_results import manifest, record

ITEMS = manifest(3)
KEY = result_key(ITEMS[1].result_path, 1)


def register(s3: FakeS3, rank: int = 1, execution: str = "run-1") -> RankRegister:
    item = replace(ITEMS[rank], execution=execution)
    return RankRegister(RunObjects(ObjectStore("b", client=s3), execution, item.result_path), item)  # type: ignore[arg-type]


def own_record(attempt: int, **changes: Any) -> dict[str, Any]:
    return {**record(1), "attempt": attempt, **changes}


def test_attempts_count_what_began_and_not_what_was_tried():
    s3 = FakeS3()
    assert register(s3).claim(tries=4) == Claim(0)
    assert register(s3).claim(tries=9) == Claim(1)


def test_a_second_delivery_is_told_from_a_retry():
    s3 = FakeS3()
    register(s3).claim(tries=0)
    assert register(s3).claim(tries=0) == Claim(1, duplicate=True)
    assert register(s3).claim(tries=1) == Claim(2)
    assert register(s3).claim(tries=0) == Claim(3, duplicate=True)  # and comes late


def test_a_claim_whose_answer_was_lost_is_found_again():
    class Forgetful(FakeS3):
        def put_object(self, **given: Any) -> dict[str, str]:
            if not self.objects:
                super().put_object(**given)
            return super().put_object(**given)

    assert register(Forgetful()).claim(tries=0) == Claim(0)


def test_what_is_complete_is_found_by_whoever_begins_later():
    s3 = FakeS3()
    first = register(s3)
    first.claim(0)
    first.write(own_record(0))
    claim = register(s3).claim(1)
    assert claim.finished == own_record(0)
    assert json.loads(s3.objects[KEY]) == own_record(0)


def test_a_second_delivery_of_a_complete_attempt_is_told_from_a_retry():
    s3 = FakeS3()
    first = register(s3)
    first.claim(2)
    first.write(own_record(0, tries=2))
    assert register(s3).claim(2).duplicate
    assert not register(s3).claim(3).duplicate


def test_attempts_count_on_from_one_that_took_over_what_was_complete():
    s3 = FakeS3()
    first = register(s3)
    first.claim(0)
    first.write(own_record(0, adopted_by=1))
    assert register(s3).claim(2).attempt == 2


def test_the_first_that_is_complete_counts():
    s3 = FakeS3()
    first, second = register(s3), register(s3)
    first.claim(0)
    second.claim(0)
    assert second.write(own_record(1)) == own_record(1)
    assert first.write(own_record(0)) == own_record(1)
    assert json.loads(s3.objects[KEY])["attempt"] == 1
    assert second.write(own_record(1, transport="direct"))["transport"] == "direct"  # its own may be written again


def test_a_claim_does_not_keep_the_attempt_before_from_being_complete():
    s3 = FakeS3()
    first, second = register(s3), register(s3)
    first.claim(0)
    second.claim(1)
    assert first.write(own_record(0)) == own_record(0)
    assert second.write(own_record(1)) == own_record(0)


def test_an_attempt_that_failed_does_not_hide_the_one_after_it():
    s3 = FakeS3()
    first, second = register(s3), register(s3)
    first.claim(0)
    second.claim(1)
    found = first.write(own_record(0, error="it failed", predictions=None))
    assert (found["attempt"], json.loads(s3.objects[KEY])["attempt"]) == (1, 1)
    assert register(s3).claim(2) == Claim(2)


def test_rank_0_says_that_it_gathers_no_more_when_it_begins_again():
    s3 = FakeS3()
    key = result_key(ITEMS[0].result_path, 0)
    register(s3, 0).claim(0)
    assert json.loads(s3.objects[key])["gather_error"] is None
    register(s3, 0).claim(0)  # delivered twice: the first may well gather
    assert json.loads(s3.objects[key])["gather_error"] is None
    register(s3, 0).claim(1)
    assert json.loads(s3.objects[key])["gather_error"] == "rank 0 was lost and tried again"
    register(s3, 0).claim(1)
    assert json.loads(s3.objects[key])["gather_error"] == "rank 0 was lost and tried again"


def test_an_inner_rank_of_a_tree_says_so_too_and_a_leaf_does_not():
    items = [replace(item, gather_width=2) for item in manifest(5)]  # 0 - (1 - 2), (3 - 4)
    s3 = FakeS3()
    for item in items:
        ours = RunObjects(ObjectStore("b", client=s3), item.execution, item.result_path)  # type: ignore[arg-type]
        assert RankRegister(ours, item).claim(0) == Claim(0)
        lost = f"rank {item.rank} was lost and tried again" if item.rank in (0, 1, 3) else None
        assert RankRegister(ours, item).claim(1) == Claim(1, gather_error=lost)


def own(s3: FakeS3, execution: str, world_size: int) -> None:
    items = [replace(item, execution=execution).to_json() for item in manifest(world_size)]
    key = manifest_key(ITEMS[0].result_path)
    s3.objects[key] = json.dumps(items).encode()
    s3.metadata[key] = RunObjects(ObjectStore("b"), execution, ITEMS[0].result_path).metadata


def test_the_owner_of_the_path_takes_the_place_of_an_earlier_run():
    s3 = FakeS3()
    own(s3, "run-1", 3)
    earlier = register(s3)
    earlier.claim(0)
    own(s3, "run-2", 3)
    later = register(s3, execution="run-2")
    assert later.claim(0) == Claim(0)
    with pytest.raises(RunSuperseded, match="belongs to the run run-2"):
        earlier.write(own_record(0))
    with pytest.raises(RunSuperseded):
        register(s3).claim(1)
    assert json.loads(s3.objects[KEY])["execution"] == "run-2"


@pytest.mark.parametrize(("world_size", "leaves"), [(1, False), (3, True)])
def test_an_invocation_that_begins_too_late_leaves_no_claim_beside_the_results(world_size: int, leaves: bool):
    """Where the owner has such a rank, that one replaces whatever claim it finds."""
    s3 = FakeS3()
    own(s3, "run-2", world_size)
    with pytest.raises(RunSuperseded):
        register(s3).claim(0)
    assert (KEY in s3.objects) is leaves
    if leaves:
        assert register(s3, execution="run-2").claim(0) == Claim(0)


def test_a_record_that_a_later_run_has_removed_is_not_written_again():
    s3 = FakeS3()
    first = register(s3)
    first.claim(0)
    del s3.objects[KEY]
    own(s3, "run-2", 1)
    with pytest.raises(RunSuperseded):
        first.write(own_record(0))
    assert KEY not in s3.objects


@pytest.mark.parametrize("damage", [{"attempt": None}, {"attempt": "1"}, {"tries": None}, {"attempt": float("nan")}])
def test_a_claim_with_a_damaged_value_is_nobodys(damage: dict[str, Any]):
    s3 = FakeS3()
    register(s3).claim(0)
    s3.objects[KEY] = json.dumps(json.loads(s3.objects[KEY]) | damage).encode()
    assert register(s3).claim(1) == Claim(0)


def test_what_is_no_record_is_replaced():
    s3 = FakeS3()
    s3.objects[KEY] = b"{"
    assert register(s3).claim(0) == Claim(0)
