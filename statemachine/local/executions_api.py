"""What clients ask Step Functions of executions and map runs where moto knows no answer, or only a part of one."""

import base64
import io
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from lambda_image.json_text import parse_json
from statemachine.local.child_executions import ChildExecution, ChildExecutions
from statemachine.local.moto_failures import Application

PREFIX = "AWSStepFunctions."
PAGE = 100  # of what is listed, unless the client says how many
LARGEST_PAGE = 1000
STATUSES = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING_REDRIVE")
COUNTS = {
    "RUNNING": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "TIMED_OUT": "timedOut",
    "ABORTED": "aborted",
}
EXECUTION_DATA = ("input", "output", "parameters")  # of an event, which a client may leave out
Answer = dict[str, Any]


class QuestionRefusedError(Exception):
    """Says with which of Step Functions' errors a request is refused."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ExecutionsApi:
    """Answers before a WSGI application, which is moto, and has it answer everything else."""

    def __init__(self, app: Application, children: ChildExecutions) -> None:
        self._app = app
        self._children = children
        self._operations: dict[str, Callable[[Answer, dict[str, Any]], Answer | None]] = {
            "ListExecutions": self._list_executions,
            "DescribeExecution": self._describe_execution,
            "GetExecutionHistory": self._history,
            "ListMapRuns": self._list_map_runs,
            "DescribeMapRun": self._describe_map_run,
        }

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Handles a request."""
        answer = self._operations.get(environ.get("HTTP_X_AMZ_TARGET", "").removeprefix(PREFIX))
        if answer is None:
            return self._app(environ, start_response)
        from werkzeug.wsgi import get_input_stream

        body = get_input_stream(environ).read()
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        try:
            given = parse_json(body)
            if isinstance(given, dict) and (answered := answer(given, environ)) is not None:
                return respond(start_response, "200 OK", answered)
        except QuestionRefusedError as refusal:
            return respond(start_response, "400 Bad Request", {"__type": refusal.code, "message": str(refusal)})
        except ValueError:
            pass  # moto says what is wrong with it
        environ["wsgi.input"] = io.BytesIO(body)
        return self._app(environ, start_response)

    def _list_executions(self, given: Answer, environ: dict[str, Any]) -> Answer | None:
        if ("stateMachineArn" in given) == ("mapRunArn" in given):
            raise QuestionRefusedError("ValidationException", "Either stateMachineArn or mapRunArn must be given")
        if "mapRunArn" not in given:
            return None
        status, arn = given.get("statusFilter"), str(given["mapRunArn"])
        if status is not None and status not in STATUSES:
            raise QuestionRefusedError("ValidationException", f"statusFilter must be one of {', '.join(STATUSES)}")
        of_run = self._children.of_map_run.get(arn, [])
        if not of_run:  # it has not begun, had no items, or is none, which moto knows
            self._moto(environ | {"HTTP_X_AMZ_TARGET": f"{PREFIX}DescribeMapRun"})
        chosen, token = page(of_run, given, lambda child: status in (None, child.status), newest_first=True)
        return {"executions": [listed(child) for child in chosen]} | token

    def _describe_execution(self, given: Answer, _environ: dict[str, Any]) -> Answer | None:
        child = self._children.by_arn.get(str(given.get("executionArn")))
        return None if child is None else described(child)

    def _history(self, given: Answer, environ: dict[str, Any]) -> Answer:
        child = self._children.by_arn.get(str(given.get("executionArn")))
        events = self._moto(environ)["events"] if child is None else [with_seconds(event) for event in child.history()]
        chosen, token = page(events, given, newest_first=bool(given.get("reverseOrder")))
        if not given.get("includeExecutionData", True):
            chosen = [without_data(event) for event in chosen]
        return {"events": chosen} | token

    def _list_map_runs(self, given: Answer, environ: dict[str, Any]) -> Answer:
        chosen, token = page(self._moto(environ)["mapRuns"], given)
        return {"mapRuns": chosen} | token

    def _describe_map_run(self, given: Answer, environ: dict[str, Any]) -> Answer:
        """moto leaves executions that failed among those that run, and counts none that wait for their turn."""
        arn = str(given.get("mapRunArn"))
        answer, of_run = self._moto(environ), self._children.of_map_run.get(arn)
        if of_run is not None:
            statuses, items = [child.status for child in of_run], self._children.items[arn]
            counts = {name: statuses.count(status) for status, name in COUNTS.items()}
            counts |= {"total": items, "pending": items - len(statuses)}
            answer["itemCounts"].update(counts)
            answer["executionCounts"].update(counts)
        return answer

    def _moto(self, environ: dict[str, Any]) -> Answer:
        """moto's own answer. Its refusal is a refusal."""
        started: list[str] = []
        body = b"".join(self._app(environ, lambda status, _headers, _error=None: started.append(status)))
        answer: Answer = parse_json(body)
        if not started[0].startswith("200"):
            raise QuestionRefusedError(str(answer.get("__type", "InternalFailure")), str(answer.get("message", "")))
        return answer


def respond(start_response: Callable[..., Any], status: str, answer: Answer) -> list[bytes]:
    """Answers a request, with an error's code in a header, too."""
    body = json.dumps(answer).encode()
    headers = [("Content-Type", "application/x-amz-json-1.0"), ("Content-Length", str(len(body)))]
    headers += [("x-amzn-ErrorType", answer["__type"])] if "__type" in answer else []
    start_response(status, headers)
    return [body]


def page(
    items: Sequence[Any],
    given: Answer,
    wanted: Callable[[Any], bool] = lambda _item: True,
    *,
    newest_first: bool = False,
) -> tuple[list[Any], Answer]:
    """Cuts a page out of what only ever grows at its end, so that pages neither overlap nor leave anything out.

    Args:
        items: The oldest first.
        given: The request, with maxResults and nextToken where the client gave them.
        wanted: Says which items are listed.
        newest_first: Lists the last one first.

    Returns:
        The items of the page, and the token of the next one, where there is one.

    Raises:
        QuestionRefusedError: The request's maxResults or nextToken is none.
    """
    most = given.get("maxResults") or PAGE
    if not isinstance(most, int) or not 0 < most <= LARGEST_PAGE:
        raise QuestionRefusedError("ValidationException", f"maxResults must be from 0 to {LARGEST_PAGE}")
    at, count = _position(given, len(items))
    chosen: list[Any] = []
    while at < count and len(chosen) < most:
        item = items[count - 1 - at if newest_first else at]
        at += 1
        if wanted(item):
            chosen.append(item)
    # What comes later belongs to another look, where the newest are first, and to the next page otherwise.
    token = base64.b64encode(json.dumps([_question(given), at, count if newest_first else 0]).encode()).decode()
    return chosen, {"nextToken": token} if at < count else {}


def _question(given: Answer) -> Answer:
    return {name: value for name, value in sorted(given.items()) if name not in ("nextToken", "maxResults")}


def _position(given: Answer, length: int) -> tuple[int, int]:
    """How many items were looked at, and of how many."""
    if not given.get("nextToken"):
        return 0, length
    try:
        question, at, count = parse_json(base64.b64decode(given["nextToken"], validate=True))
        if question == _question(given) and 0 <= at <= length and 0 <= count <= length:
            return at, count or length
    except (ValueError, TypeError):
        pass
    raise QuestionRefusedError("InvalidToken", f"Invalid Token: {str(given['nextToken'])[:100]!r}")


def listed(child: ChildExecution) -> Answer:
    """Describes an execution of a map run in a list."""
    answer: Answer = {
        "executionArn": child.arn,
        "stateMachineArn": child.state_machine,
        "mapRunArn": child.map_run,
        "name": child.name,
        "status": child.status,
        "startDate": child.started.timestamp(),
        "itemCount": 1,
    }
    return answer | ({} if child.stopped is None else {"stopDate": child.stopped.timestamp()})


def described(child: ChildExecution) -> Answer:
    """Describes an execution of a map run in full."""
    answer = listed(child) | {"input": json.dumps(child.given), "inputDetails": {"included": True}}
    del answer["itemCount"]
    if child.status == "SUCCEEDED":
        answer |= {"output": json.dumps(child.output), "outputDetails": {"included": True}}
    return answer | {name: value for name in ("error", "cause") if (value := getattr(child, name)) is not None}


def with_seconds(event: Answer) -> Answer:
    """Returns an event of moto's with its time as clients read it, in seconds since the epoch."""
    return event | {"timestamp": datetime.fromisoformat(str(event["timestamp"])).timestamp()}


def without_data(event: Answer) -> Answer:
    """Returns an event without what went in and came out."""

    def bare(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: kept for name, kept in value.items() if name not in EXECUTION_DATA}

    return {name: bare(value) for name, value in event.items()}
