"""What only coroutines can do wrong: hanging up at the worst moment, and timers."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from statemachine.local.dispatcher import Dispatcher
from statemachine.local.function_queue import TooManyRequestsError
from statemachine.local.outcomes import InvocationOutcome
from statemachine.local.settings import FunctionSettings

ANSWER = InvocationOutcome(b'{"rank": 0}')


def run(
    test: Callable[[Dispatcher], Awaitable[None]], timeout_s: float = 60, waiting_limit: int = 10
) -> list[dict[str, Any]]:
    """Runs `test` on a dispatcher of its own; the events that this left in the log."""
    events: list[dict[str, Any]] = []

    async def main() -> None:
        settings = FunctionSettings("m.f", timeout_s=timeout_s, memory_mb=128, workers=0, waiting_limit=waiting_limit)
        dispatcher = Dispatcher("rank", settings, events.append)
        await asyncio.wait_for(test(dispatcher), 30)
        dispatcher.close()

    asyncio.run(main())
    return events


async def until_it_waits(task: asyncio.Task[Any]) -> None:
    await asyncio.sleep(0)
    assert not task.done()


def test_an_answer_reaches_the_caller_and_the_log() -> None:
    async def test(dispatcher: Dispatcher) -> None:
        call = asyncio.create_task(dispatcher.invoke("a", b"{}"))
        assert (await dispatcher.next("w")).payload == b"{}"
        dispatcher.answer("a", ANSWER)
        assert await call == ANSWER

    [report] = run(test)
    assert report.pop("duration_ms") >= 0
    assert report == {"event": "report", "function": "rank", "runtime": "w", "request_id": "a", "failed": False}


@pytest.mark.parametrize("assigned", [False, True])
def test_a_worker_that_hangs_up_as_it_is_given_something_loses_nothing(assigned: bool) -> None:
    async def test(dispatcher: Dispatcher) -> None:
        poll = asyncio.create_task(dispatcher.next("gone"))
        await until_it_waits(poll)
        call = asyncio.create_task(dispatcher.invoke("a", b"{}"))
        if assigned:  # otherwise the invocation comes when the poll is cancelled but its coroutine has not run since
            await until_it_waits(call)
            assert dispatcher.queue.running["a"].worker == "gone"
        poll.cancel()
        await asyncio.wait([poll])
        assert poll.cancelled()
        assert (await dispatcher.next("w")).id == "a"
        dispatcher.answer("a", ANSWER)
        assert await call == ANSWER

    run(test)


def test_a_caller_that_hangs_up_leaves_nothing_waiting() -> None:
    async def test(dispatcher: Dispatcher) -> None:
        call = asyncio.create_task(dispatcher.invoke("a", b"{}"))
        await until_it_waits(call)
        assert list(dispatcher.queue.waiting) == ["a"]
        call.cancel()
        await asyncio.wait([call])
        assert not dispatcher.queue.waiting

    run(test)


def test_an_answer_to_a_caller_that_hung_up_is_taken() -> None:
    async def test(dispatcher: Dispatcher) -> None:
        call = asyncio.create_task(dispatcher.invoke("a", b"{}"))
        await dispatcher.next("w")
        call.cancel()
        await asyncio.wait([call])
        dispatcher.answer("a", ANSWER)

    assert len(run(test)) == 1


def test_the_timeout_answers_the_caller_and_ends_the_worker() -> None:
    ended = []

    async def test(dispatcher: Dispatcher) -> None:
        dispatcher.kill["w"] = lambda: ended.append("w")
        call = asyncio.create_task(dispatcher.invoke("a", b"{}"))
        await dispatcher.next("w")
        outcome = await call
        assert json.loads(outcome.payload)["errorType"] == "Sandbox.Timedout"

    run(test, timeout_s=0.001)
    assert ended == ["w"]


def test_a_refusal_reaches_the_caller() -> None:
    async def test(dispatcher: Dispatcher) -> None:
        with pytest.raises(TooManyRequestsError):
            await dispatcher.invoke("a", b"{}")

    run(test, waiting_limit=0)
