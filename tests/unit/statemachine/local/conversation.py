"""Talking to an application of the endpoint over loopback, with what it is made of at hand."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from statemachine.local.dispatcher import Dispatcher, Emit
from statemachine.local.settings import FunctionSettings

LIMIT_S = 60.0  # for a whole conversation, which takes milliseconds where the machine is not busy
RANK = FunctionSettings("module.function", timeout_s=60, memory_mb=128, workers=0, waiting_limit=2)

Talk = Callable[["TestClient[web.Request, web.Application]", Dispatcher], Awaitable[None]]


def converse(app_of: Callable[[Dispatcher, Emit], web.Application], talk: Talk) -> list[dict[str, Any]]:
    """Serve an application of a function called rank, and talk to it.

    Args:
        app_of: Makes the application, of a dispatcher without workers.
        talk: Is given a client and the dispatcher.

    Returns:
        The events that were logged.
    """
    events: list[dict[str, Any]] = []

    async def main() -> None:
        dispatcher = Dispatcher("rank", RANK, events.append)
        async with TestClient(TestServer(app_of(dispatcher, events.append))) as client:
            await asyncio.wait_for(talk(client, dispatcher), LIMIT_S)
        dispatcher.close()

    asyncio.run(main())
    return events
