"""The Lambda Invoke API: `boto3.client("lambda").invoke(...)` and Step Functions' lambda:invoke arrive here."""

import asyncio
import json
from collections.abc import Mapping

from aiohttp import web

from lambda_image.json_text import parse_json
from statemachine.local.dispatcher import Dispatcher, Emit, new_request_id
from statemachine.local.function_queue import TooManyRequestsError
from statemachine.local.outcomes import EVENT_PAYLOAD_LIMIT, PAYLOAD_LIMIT, InvocationOutcome
from statemachine.local.refusals import Refusals
from statemachine.local.settings import function_arn, function_name

PATH = "/2015-03-31/functions/{name}/invocations"


class InvokeApi:
    """Answers invocations, synchronous (RequestResponse) and asynchronous (Event) ones."""

    def __init__(self, dispatchers: Mapping[str, Dispatcher], emit: Emit, refusals: Refusals | None = None) -> None:
        self._dispatchers = dispatchers
        self._refusals = refusals or Refusals()
        self._emit = emit
        self._unattended: set[asyncio.Task[None]] = set()  # asynchronous invocations, which nothing else refers to

    async def invoke(self, request: web.Request) -> web.Response:
        """Handles POST /2015-03-31/functions/NAME/invocations."""
        request_id = new_request_id()
        name = function_name(request.match_info["name"])
        kind = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        limit = EVENT_PAYLOAD_LIMIT if kind == "Event" else PAYLOAD_LIMIT
        if (dispatcher := self._dispatchers.get(name)) is None:
            message = f"Function not found: {function_arn(name)} (there are {', '.join(sorted(self._dispatchers))})"
            return api_error(request_id, 404, "ResourceNotFoundException", message)
        try:
            payload = await request.read() or b"{}"
        except web.HTTPRequestEntityTooLarge:
            payload = bytes(PAYLOAD_LIMIT + 1)
        if len(payload) > limit:
            message = f"Request must be smaller than {limit} bytes for the InvokeFunction operation ({kind})"
            return api_error(request_id, 413, "RequestEntityTooLargeException", message)
        if not is_json(payload):
            return api_error(
                request_id, 400, "InvalidRequestContentException", "Could not parse request body into json"
            )
        if kind == "DryRun":
            return web.Response(status=204, headers={"x-amzn-RequestId": request_id})
        if kind == "Event":
            task = asyncio.create_task(self._unattended_invoke(dispatcher, request_id, payload))
            self._unattended.add(task)
            task.add_done_callback(self._unattended.discard)
            return web.Response(status=202, headers={"x-amzn-RequestId": request_id})
        if refusal := self._refusals.begin(name, request_id, asyncio.get_running_loop().time()):
            self._emit({"event": "refused", "function": name, "request_id": request_id, "code": refusal.code})
            return api_error(request_id, refusal.status, refusal.code, refusal.message)
        try:
            return outcome_response(request_id, await dispatcher.invoke(request_id, payload))
        except TooManyRequestsError as error:
            return api_error(request_id, 429, "TooManyRequestsException", str(error))
        finally:
            self._refusals.end(request_id)

    async def _unattended_invoke(self, dispatcher: Dispatcher, request_id: str, payload: bytes) -> None:
        """Invokes once, where Lambda would try a failed asynchronous invocation twice more. A failure is logged."""
        facts: dict[str, object] = {"event": "asynchronous_invocation", "function": dispatcher.name, "id": request_id}
        try:
            outcome = await dispatcher.invoke(request_id, payload)
        except TooManyRequestsError as refusal:
            self._emit(facts | {"failed": True, "reason": str(refusal)})
        else:
            self._emit(facts | {"failed": outcome.failed})

    async def close(self) -> None:
        """Cancels the asynchronous invocations."""
        for task in self._unattended:
            task.cancel()
        await asyncio.gather(*self._unattended, return_exceptions=True)


def outcome_response(request_id: str, outcome: InvocationOutcome) -> web.Response:
    """Makes the response to an invocation that has ended."""
    headers = {"x-amzn-RequestId": request_id, "X-Amz-Executed-Version": "$LATEST"}
    if outcome.failed:
        headers["X-Amz-Function-Error"] = "Unhandled"
    return web.Response(body=outcome.payload, content_type="application/json", headers=headers)


def api_error(request_id: str, status: int, code: str, message: str) -> web.Response:
    """Makes an error of AWS's REST-JSON protocol, with the code in a header and the message in the body."""
    headers = {"x-amzn-RequestId": request_id, "X-Amzn-ErrorType": code}
    body = json.dumps({"Type": "User", "message": message, "Message": message})
    return web.Response(status=status, text=body, content_type="application/json", headers=headers)


def is_json(payload: bytes) -> bool:
    """Says whether a payload is a JSON document."""
    try:
        parse_json(payload)
    except ValueError:
        return False
    return True
