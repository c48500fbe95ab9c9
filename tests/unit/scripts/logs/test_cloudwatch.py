from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.logs.cloudwatch import PATIENCE_S, events_of_group
from scripts.stack.account import AccountError


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "FilterLogEvents")


class Logs:
    """CloudWatch Logs with pages that are given, of which some are refused at first."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), []

    def filter_log_events(self, **arguments: Any) -> dict[str, Any]:
        self.asked.append(arguments)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)


def page(message: str, more: str | None = None) -> dict[str, Any]:
    event = {"timestamp": 5, "message": message, "logStreamName": "s"}
    return {"events": [event], **({"nextToken": more} if more else {})}


def test_all_pages_are_asked_for():
    logs = Logs(page("one", "a"), {"events": [], "nextToken": "b"}, page("two"))
    events = list(events_of_group(logs, "/aws/lambda/rank", 1, 9))
    assert [(event.message, event.stream, event.group) for event in events] == [
        ("one", "s", "/aws/lambda/rank"),
        ("two", "s", "/aws/lambda/rank"),
    ]
    assert [asked.get("nextToken") for asked in logs.asked] == [None, "a", "b"]
    assert (logs.asked[0]["startTime"], logs.asked[0]["endTime"]) == (1, 9)


def test_a_page_that_is_refused_as_too_many_is_asked_for_again_later():
    pauses: list[float] = []
    logs = Logs(page("one", "a"), refusal("ThrottlingException"), refusal("ThrottlingException"), page("two"))
    assert [event.message for event in events_of_group(logs, "g", 1, 9, pauses.append)] == ["one", "two"]
    assert pauses == [1.0, 2.0]
    assert [asked.get("nextToken") for asked in logs.asked] == [None, "a", "a", "a"]


def test_patience_ends():
    pauses: list[float] = []
    with pytest.raises(AccountError, match=r"asks to slow down after .* give it by --file"):
        list(events_of_group(Logs(refusal("ThrottlingException")), "g", 1, 9, pauses.append))
    assert PATIENCE_S <= sum(pauses) < 2 * PATIENCE_S


def test_a_group_that_is_missing_has_no_events_and_any_other_refusal_is_told():
    assert not list(events_of_group(Logs(refusal("ResourceNotFoundException")), "g", 1, 9))
    with pytest.raises(ClientError):
        list(events_of_group(Logs(refusal("AccessDeniedException")), "g", 1, 9))
