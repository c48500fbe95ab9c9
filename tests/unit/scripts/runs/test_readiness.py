"""Whether a run can begin, by a Lambda that answers from lists and a clock that only sleeping moves."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.runs.place import Place
from scripts.runs.readiness import WAKING_S, configurations, room, turns, wait_until_active, working_s
from scripts.stack.account import AccountError

ACTIVE = {"State": "Active", "LastUpdateStatus": "Successful"}


def refusal(code: str, status: int = 400) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Ask")


@dataclass
class Functions:
    """What Lambda says of functions, one answer after another, of which the last stays."""

    answers: dict[str, list[Any]] = field(default_factory=dict)
    reserved: Any = None
    limit: Any = field(default_factory=lambda: {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 900})
    woken: list[str] = field(default_factory=list)
    now: float = 0.0

    def get_function_configuration(self, FunctionName: str) -> dict[str, Any]:  # noqa: N803 - AWS's name
        answers = self.answers.get(FunctionName, [ACTIVE])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    def invoke(self, FunctionName: str, Payload: bytes) -> None:  # noqa: N803 - AWS's names
        self.woken.append(FunctionName)
        raise refusal("CodeArtifactUserPendingException", 409)

    def get_function_concurrency(self, **_: str) -> dict[str, int]:
        if isinstance(self.reserved, Exception):
            raise self.reserved
        return {} if self.reserved is None else {"ReservedConcurrentExecutions": self.reserved}

    def get_account_settings(self) -> dict[str, Any]:
        return {"AccountLimit": self.limit}

    @property
    def place(self) -> Place:
        return Place("the stack m", lambda service: self, "us-east-1", "arn:m", "b")

    def wait(self) -> list[str]:
        said: list[str] = []

        def sleep(seconds: float) -> None:
            self.now += seconds

        wait_until_active(self.place, configurations(self.place), said.append, sleep, lambda: self.now)
        return said


def test_active_functions_are_not_waited_for():
    functions = Functions()
    assert (functions.wait(), functions.now, functions.woken) == ([], 0.0, [])


def test_idle_functions_are_woken_together():
    idle, pending = {"State": "Inactive"}, {"State": "Pending"}
    functions = Functions({"init": [idle, pending, ACTIVE], "rank": [idle, idle, pending, ACTIVE]})
    said = functions.wait()
    assert said == [
        "the function init was idle for long and wakes, which may take a minute",
        "the function rank was idle for long and wakes, which may take a minute",
    ]
    assert functions.woken == ["init", "rank", "rank"]
    assert functions.now == 3.0


def test_an_update_on_its_way_is_waited_for():
    functions = Functions({"rank": [{"State": "Active", "LastUpdateStatus": "InProgress"}, ACTIVE]})
    assert functions.wait() == ["the function rank is being set up, which may take a minute"]
    assert not functions.woken


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            {"State": "Failed", "StateReason": "the image is gone"},
            "rank cannot be used: the image is gone. Run cosmicai",
        ),
        ({"State": "Active", "LastUpdateStatus": "Failed"}, "rank cannot be used: AWS gives no reason. Run cosmicai"),
        ({"State": "Pending"}, f"rank is not active after {WAKING_S:.0f} s: look at it by aws lambda"),
        (refusal("ResourceNotFoundException", 404), "the stack m has no function rank: cosmicai deploy --status shows"),
    ],
)
def test_a_function_that_cannot_be_used_is_told_with_the_next_step(answer: Any, told: str):
    with pytest.raises(AccountError, match=told):
        Functions({"rank": [answer]}).wait()


def test_functions_that_may_not_be_looked_at_are_taken_as_they_are():
    denied = refusal("AccessDeniedException", 403)
    functions = Functions({name: [denied] for name in ("init", "rank", "summarize")})
    assert configurations(functions.place) == {}
    assert functions.wait() == []


@pytest.mark.parametrize(
    ("reserved", "limit", "available"),
    [
        (None, {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 900}, 900),
        (None, {"ConcurrentExecutions": 10}, 10),
        (50, {}, 50),
        (0, {}, 0),
        (refusal("AccessDeniedException", 403), {}, None),
    ],
)
def test_a_reserve_counts_before_the_account(reserved: Any, limit: dict[str, int], available: int | None):
    assert room(Functions(reserved=reserved, limit=limit).place) == available


def test_other_refusals_are_no_answer():
    with pytest.raises(ClientError):
        room(Functions(reserved=refusal("ServiceException", 500)).place)


def test_ranks_take_turns_where_a_quota_is_too_small():
    said: list[str] = []
    for available, world_size, limit in ((10, 10, None), (10, None, None), (10, 5, 5), (10, 5, 20)):
        assert turns(available, world_size, limit, said.append) == {}
    assert said == []
    assert turns(None, 10, None, said.append) == {}
    assert turns(1000, 10_000, None, said.append) == {"max_concurrency": 1000}
    assert turns(10, 20, 15, said.append) == {"max_concurrency": 10}
    assert turns(10, 20, 5, said.append) == {}
    assert "is unknown, since lambda:GetAccountSettings is denied" in said[0]
    assert said[1].startswith(
        "1,000 of 10,000 ranks work at a time, as the account's quota or the stack's reserve allows."
    )
    assert "They take turns in 10 waves, and their parts travel by way of S3" in said[1]
    assert "Give a smaller --world-size, or ask for more concurrent executions in Service Quotas, for" in said[1]
    assert said[2].startswith("10 of 20 ranks work at a time, as the account's quota")
    assert said[3].startswith("5 of 20 ranks work at a time, as max_concurrency says.")
    with pytest.raises(AccountError, match="has a reserved concurrency of 0: cosmicai deploy --parameter Reserved"):
        turns(0, 4, None, said.append)


def test_how_long_ranks_work_is_known_where_their_galaxies_are():
    assert working_s([1000, 174_000], {"MemorySize": 1769}) == pytest.approx(200.0)
    assert working_s([174_000], {"MemorySize": 10 * 1769}) == pytest.approx(200.0 / 6)
    assert working_s(None, {"MemorySize": 1769}) is None
    assert working_s([1], {}) is None
