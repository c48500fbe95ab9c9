import asyncio
import time

import pytest
from aiohttp import web

from statemachine.local.dispatcher import Dispatcher, Emit
from statemachine.local.outcomes import PAYLOAD_LIMIT
from statemachine.local.runtime_api import PREFIX, runtime_app
from tests.unit.statemachine.local.conversation import RANK, converse

NEXT = f"{PREFIX}/invocation/next"


def of_worker(dispatcher: Dispatcher, emit: Emit) -> web.Application:
    return runtime_app(dispatcher, "worker")


def of_any(dispatcher: Dispatcher, emit: Emit) -> web.Application:
    return runtime_app(dispatcher)


def test_a_worker_is_told_of_its_invocation_what_lambda_tells() -> None:
    async def talk(client, dispatcher) -> None:
        call = asyncio.create_task(dispatcher.invoke("id-1", b'{"rank": 0}'))
        before = time.time()
        polled = await client.get(NEXT)
        assert await polled.read() == b'{"rank": 0}'
        assert polled.headers["Lambda-Runtime-Aws-Request-Id"] == "id-1"
        assert polled.headers["Lambda-Runtime-Invoked-Function-Arn"].endswith(":function:rank")
        left_s = int(polled.headers["Lambda-Runtime-Deadline-Ms"]) / 1000 - before
        assert RANK.timeout_s - 1 < left_s < RANK.timeout_s + 10
        answer = await client.post(f"{PREFIX}/invocation/id-1/response", data=b'{"done": true}')
        assert (answer.status, await answer.json()) == (202, {"status": "OK"})
        outcome = await call
        assert (outcome.payload, outcome.failed) == (b'{"done": true}', False)

    converse(of_worker, talk)


def test_an_error_is_the_outcome_of_its_invocation() -> None:
    async def talk(client, dispatcher) -> None:
        call = asyncio.create_task(dispatcher.invoke("id-1", b"{}"))
        await client.get(NEXT)
        await client.post(f"{PREFIX}/invocation/id-1/error", data=b'{"errorType": "E"}')
        outcome = await call
        assert (outcome.payload, outcome.failed) == (b'{"errorType": "E"}', True)

    converse(of_worker, talk)


def test_an_answer_to_what_does_not_run_is_refused() -> None:
    async def talk(client, dispatcher) -> None:
        answer = await client.post(f"{PREFIX}/invocation/id-2/response", data=b"{}")
        assert (answer.status, (await answer.json())["errorType"]) == (400, "InvalidRequestID")

    converse(of_worker, talk)


def test_a_response_that_is_too_large_fails_the_invocation_and_not_the_worker() -> None:
    async def talk(client, dispatcher) -> None:
        call = asyncio.create_task(dispatcher.invoke("id-1", b"{}"))
        await client.get(NEXT)
        answer = await client.post(f"{PREFIX}/invocation/id-1/response", data=bytes(PAYLOAD_LIMIT + 1))
        assert (answer.status, (await answer.json())["errorType"]) == (413, "RequestEntityTooLarge")
        assert (await call).failed

    converse(of_worker, talk)


def test_a_handler_that_cannot_be_loaded_is_told_to_the_function() -> None:
    async def talk(client, dispatcher) -> None:
        answer = await client.post(f"{PREFIX}/init/error", data=b'{"errorType": "E", "errorMessage": "m"}')
        assert answer.status == 202
        assert dispatcher.health()["start_errors"] == [{"errorType": "E", "errorMessage": "m"}]

    converse(of_worker, talk)


def test_a_worker_from_outside_is_lost_when_its_connection_ends() -> None:
    async def talk(client, dispatcher) -> None:
        call = asyncio.create_task(dispatcher.invoke("id-1", b"{}"))
        await client.get(NEXT)
        await client.session.close()
        outcome = await call
        assert outcome.failed
        assert b"Runtime.ExitError" in outcome.payload

    converse(of_any, talk)


@pytest.mark.parametrize("app", [of_worker, of_any])
@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}], ids=["page", "name"]
)
def test_a_web_page_neither_takes_an_invocation_nor_answers_one(app, headers: dict[str, str]) -> None:
    async def talk(client, dispatcher) -> None:
        call = asyncio.create_task(dispatcher.invoke("id-1", b"{}"))
        response = f"{PREFIX}/invocation/id-1/response"
        for asked in (client.get(NEXT, headers=headers), client.post(response, headers=headers)):
            answer = await asked
            assert (answer.status, answer.headers["X-Amzn-ErrorType"]) == (403, "AccessDeniedException")
        assert list(dispatcher.queue.waiting) == ["id-1"]
        call.cancel()

    converse(app, talk)
