"""What a supervisor decides by itself. Its processes are started, killed and replaced in tests/integration."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

from statemachine.local.dispatcher import Dispatcher
from statemachine.local.processes import START_LIMIT_S, WorkerSupervisor
from tests.unit.statemachine.local.conversation import RANK


def supervise(check: Any) -> None:
    async def main() -> None:
        events: list[dict[str, object]] = []
        dispatcher = Dispatcher("rank", RANK, events.append)
        await check(WorkerSupervisor(dispatcher, "rank/0", {}, "http://127.0.0.1:1", events.append), dispatcher, events)
        dispatcher.close()

    asyncio.run(main())


def test_a_worker_that_never_asks_for_work_is_said_to_have_timed_out() -> None:
    async def check(supervisor: WorkerSupervisor, dispatcher: Dispatcher, events: list[Any]) -> None:
        supervisor._end_if_not_started()
        [error] = cast(list[dict[str, str]], dispatcher.health()["start_errors"])
        assert error["errorType"] == "Sandbox.Timedout"
        assert f"{START_LIMIT_S:.2f} seconds in the init phase" in error["errorMessage"]

    supervise(check)


def test_a_worker_that_has_asked_for_work_is_left_alone() -> None:
    async def check(supervisor: WorkerSupervisor, dispatcher: Dispatcher, events: list[Any]) -> None:
        poll = asyncio.create_task(dispatcher.next("rank/0"))
        await asyncio.sleep(0)
        supervisor._end_if_not_started()
        assert dispatcher.health()["start_errors"] == []
        poll.cancel()

    supervise(check)


def test_what_has_ended_is_not_killed() -> None:
    """Its number may be another process's by now."""

    async def check(supervisor: WorkerSupervisor, dispatcher: Dispatcher, events: list[Any]) -> None:
        supervisor.kill()
        supervisor._process = cast(Any, SimpleNamespace(pid=0, returncode=0))
        supervisor.kill()
        await supervisor._end()

    supervise(check)


def test_the_output_of_a_worker_is_logged_line_by_line() -> None:
    async def check(supervisor: WorkerSupervisor, dispatcher: Dispatcher, events: list[Any]) -> None:
        supervisor._process = cast(Any, SimpleNamespace(pid=7, returncode=None))
        stream = asyncio.StreamReader()
        stream.feed_data(b"first\nsec")
        stream.feed_data(b"ond\nlast")
        stream.feed_eof()
        await supervisor._forward(stream, "stdout")
        assert len(events) == 3
        for event, line in zip(events, ("first", "second", "last"), strict=True):
            assert line in json.dumps(event)
            assert '"worker": 7' in json.dumps(event)

    supervise(check)
