import base64
import io
import json
from typing import Any

import pytest

from statemachine.local.child_executions import ChildExecution, ChildExecutions
from statemachine.local.executions_api import ExecutionsApi, QuestionRefusedError, page
from tests.unit.statemachine.local.test_child_executions import RECORD, ProgramEnded, ProgramError

MAP_RUN = RECORD.map_run_arn


class Moto:
    """Answers each operation with what it was told, and everything else with 404."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        operation = environ["HTTP_X_AMZ_TARGET"].partition(".")[2]
        self.asked = json.loads(environ["wsgi.input"].read() or b"null")
        found = operation in self.answers
        start_response("200 OK" if found else "400 Bad Request", [])
        refusal = {"__type": "ResourceNotFound", "message": "moto knows none"}
        return [json.dumps(self.answers[operation] if found else refusal).encode()]


def ask(api: ExecutionsApi, operation: str, **given: Any) -> dict[str, Any]:
    body = json.dumps(given).encode()
    environ = {"HTTP_X_AMZ_TARGET": f"AWSStepFunctions.{operation}", "wsgi.input": io.BytesIO(body)}
    environ["CONTENT_LENGTH"] = str(len(body))  # type: ignore[assignment]
    started: list[Any] = []
    answer = json.loads(b"".join(api(environ, lambda *what: started.append(what))))
    assert started[0][0].startswith("400" if "__type" in answer else "200")
    return answer


@pytest.fixture
def children() -> ChildExecutions:
    children = ChildExecutions()
    for rank in range(5):
        child = children.begin(RECORD, {"rank": rank}, 7)
        if rank < 4:
            child.end(ProgramEnded() if rank % 2 else ProgramError(), {"rank": rank})
    return children


def ranks(children: ChildExecutions, answer: dict[str, Any]) -> list[int]:
    return [children.by_arn[found["executionArn"]].given["rank"] for found in answer["executions"]]


def test_the_executions_of_a_map_run_are_listed_with_the_newest_first(children: ChildExecutions) -> None:
    answer = ask(ExecutionsApi(Moto(), children), "ListExecutions", mapRunArn=MAP_RUN)
    assert ranks(children, answer) == [4, 3, 2, 1, 0]
    assert "nextToken" not in answer
    assert {found["itemCount"] for found in answer["executions"]} == {1}
    assert ["stopDate" in found for found in answer["executions"]] == [False, True, True, True, True]


def test_they_are_chosen_by_status(children: ChildExecutions) -> None:
    api = ExecutionsApi(Moto(), children)
    for status, expected in (("FAILED", [2, 0]), ("SUCCEEDED", [3, 1]), ("RUNNING", [4]), ("ABORTED", [])):
        assert ranks(children, ask(api, "ListExecutions", mapRunArn=MAP_RUN, statusFilter=status)) == expected
    refused = ask(api, "ListExecutions", mapRunArn=MAP_RUN, statusFilter="GONE")
    assert refused["__type"] == "ValidationException"


def test_pages_neither_overlap_nor_leave_anything_out_while_more_begin(children: ChildExecutions) -> None:
    api, seen, token = ExecutionsApi(Moto(), children), list[int](), None
    for _ in range(9):
        given = {"nextToken": token} if token else {}
        answer = ask(api, "ListExecutions", mapRunArn=MAP_RUN, maxResults=2, **given)
        seen += ranks(children, answer)
        children.begin(RECORD, {"rank": 99}, 7)
        token = answer.get("nextToken")
        if token is None:
            break
    assert seen == [4, 3, 2, 1, 0]


def test_a_token_of_another_question_or_of_nobody_is_refused(children: ChildExecutions) -> None:
    api = ExecutionsApi(Moto(), children)
    token = ask(api, "ListExecutions", mapRunArn=MAP_RUN, maxResults=2)["nextToken"]
    odd = base64.b64encode(json.dumps([{"mapRunArn": MAP_RUN}, 10**9, 1]).encode()).decode()
    for other in ({"statusFilter": "FAILED", "nextToken": token}, {"nextToken": "x"}, {"nextToken": odd}):
        assert ask(api, "ListExecutions", mapRunArn=MAP_RUN, **other)["__type"] == "InvalidToken"


@pytest.mark.parametrize("most", [-1, 1001, "many"])
def test_a_page_of_no_possible_size_is_refused(most: object) -> None:
    with pytest.raises(QuestionRefusedError, match="maxResults must be from 0 to 1000"):
        page([1], {"maxResults": most})


def test_a_question_names_a_state_machine_or_a_map_run(children: ChildExecutions) -> None:
    moto = Moto(ListExecutions={"executions": ["moto's"]})
    api = ExecutionsApi(moto, children)
    for given in ({}, {"stateMachineArn": "m", "mapRunArn": MAP_RUN}):
        assert ask(api, "ListExecutions", **given)["__type"] == "ValidationException"
    assert ask(api, "ListExecutions", stateMachineArn="m") == {"executions": ["moto's"]}
    assert moto.asked == {"stateMachineArn": "m"}


def test_a_map_run_without_executions_is_told_from_none_by_moto() -> None:
    empty = ExecutionsApi(Moto(DescribeMapRun={}), ChildExecutions())
    assert ask(empty, "ListExecutions", mapRunArn=MAP_RUN) == {"executions": []}
    assert (
        ask(ExecutionsApi(Moto(), ChildExecutions()), "ListExecutions", mapRunArn="x")["__type"] == "ResourceNotFound"
    )


def test_an_execution_of_a_map_run_is_described_and_any_other_by_moto(children: ChildExecutions) -> None:
    api = ExecutionsApi(Moto(DescribeExecution={"executionArn": "moto's"}), children)
    failed, succeeded, running = (children.of_map_run[MAP_RUN][rank] for rank in (0, 1, 4))
    described = ask(api, "DescribeExecution", executionArn=failed.arn)
    assert (described["status"], described["error"], described["cause"]) == ("FAILED", "Bad", "because")
    assert "output" not in described
    described = ask(api, "DescribeExecution", executionArn=succeeded.arn)
    assert (json.loads(described["input"]), json.loads(described["output"])) == ({"rank": 1}, {"rank": 1})
    assert ask(api, "DescribeExecution", executionArn=running.arn)["status"] == "RUNNING"
    assert ask(api, "DescribeExecution", executionArn="other") == {"executionArn": "moto's"}


EVENTS = [{"id": number, "details": {"input": "i", "output": "o", "name": "n"}} for number in range(1, 6)]


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_history_is_given_in_either_order_and_in_pages(newest_first: bool) -> None:
    api, seen, token = ExecutionsApi(Moto(GetExecutionHistory={"events": EVENTS}), ChildExecutions()), list[int](), None
    while token != "over":
        given = {"nextToken": token} if token else {}
        answer = ask(api, "GetExecutionHistory", executionArn="e", maxResults=2, reverseOrder=newest_first, **given)
        seen += [event["id"] for event in answer["events"]]
        token = answer.get("nextToken", "over")
    assert seen == ([5, 4, 3, 2, 1] if newest_first else [1, 2, 3, 4, 5])


def test_a_history_is_given_without_data() -> None:
    api = ExecutionsApi(Moto(GetExecutionHistory={"events": EVENTS}), ChildExecutions())
    answer = ask(api, "GetExecutionHistory", executionArn="e", includeExecutionData=False)
    assert answer["events"][0] == {"id": 1, "details": {"name": "n"}}


def test_an_execution_of_a_map_run_has_a_history_of_its_own(children: ChildExecutions) -> None:
    child: ChildExecution = children.of_map_run[MAP_RUN][0]
    child.history = lambda: [{"id": 1, "timestamp": "2026-11-28T12:00:00.500Z"}]
    answer = ask(ExecutionsApi(Moto(), children), "GetExecutionHistory", executionArn=child.arn)
    assert answer["events"] == [{"id": 1, "timestamp": 1795867200.5}]


def test_what_moto_refuses_is_refused_with_its_reason() -> None:
    for operation in ("GetExecutionHistory", "ListMapRuns", "DescribeMapRun"):
        refused = ask(ExecutionsApi(Moto(), ChildExecutions()), operation, executionArn="e", mapRunArn="m")
        assert refused == {"__type": "ResourceNotFound", "message": "moto knows none"}


def test_map_runs_are_listed_in_pages() -> None:
    api = ExecutionsApi(Moto(ListMapRuns={"mapRuns": [1, 2, 3]}), ChildExecutions())
    first = ask(api, "ListMapRuns", executionArn="e", maxResults=2)
    assert first["mapRuns"] == [1, 2]
    assert ask(api, "ListMapRuns", executionArn="e", nextToken=first["nextToken"]) == {"mapRuns": [3]}


def test_a_map_run_counts_each_execution_once_and_the_items_that_wait_for_their_turn(children: ChildExecutions) -> None:
    """moto leaves those that failed among those that run, and has only begun ones in the total."""
    wrong = {"running": 3, "succeeded": 2, "failed": 2, "total": 5, "pending": 0}
    moto = Moto(DescribeMapRun={"itemCounts": wrong, "executionCounts": wrong, "status": "RUNNING"})
    answer = ask(ExecutionsApi(moto, children), "DescribeMapRun", mapRunArn=MAP_RUN)
    right = {"running": 1, "succeeded": 2, "failed": 2, "timedOut": 0, "aborted": 0, "total": 7, "pending": 2}
    assert answer == {"itemCounts": right, "executionCounts": right, "status": "RUNNING"}


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b'"x"'])
def test_what_is_no_request_is_left_to_moto(body: bytes) -> None:
    environ = {"HTTP_X_AMZ_TARGET": "AWSStepFunctions.ListExecutions", "wsgi.input": io.BytesIO(body)}
    environ["CONTENT_LENGTH"] = str(len(body))  # type: ignore[assignment]
    given: list[bytes] = []

    def moto(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        given.append(environ["wsgi.input"].read())
        return []

    ExecutionsApi(moto, ChildExecutions())(environ, lambda *_: None)
    assert given == [body]
