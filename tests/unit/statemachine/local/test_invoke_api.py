import asyncio

import pytest
from aiohttp import web

from statemachine.local.dispatcher import Dispatcher, Emit
from statemachine.local.invoke_api import PATH, InvokeApi, is_json
from statemachine.local.outcomes import EVENT_PAYLOAD_LIMIT, PAYLOAD_LIMIT, InvocationOutcome
from statemachine.local.refusals import Refusals
from tests.unit.statemachine.local.conversation import RANK, converse

RANK_PATH, EVENT = PATH.format(name="rank"), {"X-Amz-Invocation-Type": "Event"}


def app_of(dispatcher: Dispatcher, emit: Emit) -> web.Application:
    invokes = InvokeApi({"rank": dispatcher}, emit)
    app = web.Application(client_max_size=PAYLOAD_LIMIT)
    app.router.add_post(PATH, invokes.invoke)
    app.on_cleanup.append(lambda _: invokes.close())
    return app


async def work(dispatcher: Dispatcher, outcome: InvocationOutcome) -> bytes:
    """One worker, which takes one invocation and answers it. The payload is returned."""
    invocation = await dispatcher.next("worker")
    dispatcher.answer(invocation.id, outcome)
    return invocation.payload


@pytest.mark.parametrize("name", ["rank", "arn:aws:lambda:us-east-1:123456789012:function:rank", "rank:$LATEST"])
@pytest.mark.parametrize("failed", [False, True])
def test_the_caller_gets_what_the_worker_answers(name: str, failed: bool) -> None:
    async def talk(client, dispatcher) -> None:
        worker = asyncio.create_task(work(dispatcher, InvocationOutcome(b'{"a": 1}', failed)))
        answer = await client.post(PATH.format(name=name), data=b'{"rank": 3}')
        assert await worker == b'{"rank": 3}'
        assert (answer.status, await answer.json()) == (200, {"a": 1})
        assert answer.headers["X-Amz-Executed-Version"] == "$LATEST"
        assert answer.headers.get("X-Amz-Function-Error") == ("Unhandled" if failed else None)
        assert answer.headers["x-amzn-RequestId"]

    converse(app_of, talk)


def test_no_payload_stands_for_an_empty_one() -> None:
    async def talk(client, dispatcher) -> None:
        worker = asyncio.create_task(work(dispatcher, InvocationOutcome(b"null")))
        assert (await client.post(RANK_PATH)).status == 200
        assert await worker == b"{}"

    converse(app_of, talk)


@pytest.mark.parametrize(
    ("path", "headers", "payload", "status", "code", "message"),
    [
        (PATH.format(name="x"), {}, b"{}", 404, "ResourceNotFoundException", "function:x (there are rank)"),
        (RANK_PATH, {}, b"{", 400, "InvalidRequestContentException", "Could not parse request body"),
        (RANK_PATH, {}, bytes(PAYLOAD_LIMIT + 1), 413, "RequestEntityTooLargeException", str(PAYLOAD_LIMIT)),
        (RANK_PATH, EVENT, b" " * (EVENT_PAYLOAD_LIMIT + 1), 413, "RequestEntityTooLargeException", "(Event)"),
    ],
)
def test_what_cannot_be_invoked_is_refused_as_lambda_does(path, headers, payload, status, code, message) -> None:
    async def talk(client, dispatcher) -> None:
        answer = await client.post(path, data=payload, headers=headers)
        assert (answer.status, answer.headers["X-Amzn-ErrorType"]) == (status, code)
        body = await answer.json()
        assert message in body["message"]
        assert body["Message"] == body["message"]

    converse(app_of, talk)


@pytest.mark.parametrize(
    ("refusals", "status", "code"),
    [
        (Refusals(concurrency=0), 429, "TooManyRequestsException"),
        (Refusals(waking_s={"rank": 60.0}), 409, "CodeArtifactUserPendingException"),
    ],
)
def test_a_start_that_is_refused_reaches_no_worker_and_is_logged(refusals: Refusals, status: int, code: str) -> None:
    def app(dispatcher: Dispatcher, emit: Emit) -> web.Application:
        app = web.Application()
        app.router.add_post(PATH, InvokeApi({"rank": dispatcher}, emit, refusals).invoke)
        return app

    async def talk(client, dispatcher) -> None:
        answer = await client.post(RANK_PATH, data=b"{}")
        assert (answer.status, answer.headers["X-Amzn-ErrorType"]) == (status, code)
        assert not dispatcher.queue.waiting

    [event] = converse(app, talk)
    assert (event["event"], event["code"]) == ("refused", code)


def test_a_dry_run_invokes_nothing() -> None:
    async def talk(client, dispatcher) -> None:
        assert (await client.post(RANK_PATH, headers={"X-Amz-Invocation-Type": "DryRun"})).status == 204
        assert not dispatcher.queue.waiting

    converse(app_of, talk)


def test_an_event_is_accepted_at_once_and_its_end_is_logged() -> None:
    async def talk(client, dispatcher) -> None:
        assert (await client.post(RANK_PATH, data=b"{}", headers=EVENT)).status == 202
        await work(dispatcher, InvocationOutcome(b"{}", failed=True))
        await asyncio.sleep(0)

    events = [event for event in converse(app_of, talk) if event["event"] == "asynchronous_invocation"]
    assert [(event["function"], event["failed"]) for event in events] == [("rank", True)]


def test_more_than_may_wait_are_refused_and_events_of_them_logged() -> None:
    async def talk(client, dispatcher) -> None:
        for _ in range(RANK.waiting_limit):
            await client.post(RANK_PATH, data=b"{}", headers=EVENT)
        answer = await client.post(RANK_PATH, data=b"{}")
        assert (answer.status, answer.headers["X-Amzn-ErrorType"]) == (429, "TooManyRequestsException")
        await client.post(RANK_PATH, data=b"{}", headers=EVENT)

    [event] = converse(app_of, talk)
    assert event["failed"]
    assert event["reason"]


@pytest.mark.parametrize(
    ("payload", "json"),
    [(b"{}", True), (b"3", True), (b"", False), (b"\xff", False), (b"[" * 200_000, False)],
    ids=["object", "number", "nothing", "no text", "brackets"],
)
def test_any_json_document_is_a_payload(payload: bytes, json: bool) -> None:
    assert is_json(payload) == json
