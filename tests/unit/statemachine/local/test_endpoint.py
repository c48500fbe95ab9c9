import asyncio
from functools import partial
from typing import cast

import pytest
from aiohttp import web
from yarl import URL

from statemachine.local.dispatcher import Dispatcher, Emit
from statemachine.local.endpoint import HEALTH_PATH, public_app
from statemachine.local.functions_api import FunctionsApi
from statemachine.local.invoke_api import PATH, InvokeApi
from statemachine.local.moto_backend import Proxy
from tests.unit.statemachine.local.conversation import converse


class Forwarded:
    """What is handed to moto."""

    async def forward(self, request: web.Request) -> web.Response:
        return web.Response(text=f"{request.method} {request.path}")


def app_of(dispatcher: Dispatcher, emit: Emit, *, started: bool = True) -> web.Application:
    moto: asyncio.Future[URL] = asyncio.get_running_loop().create_future()
    if started:
        moto.set_result(URL("http://127.0.0.1:1"))
    invokes, proxy = InvokeApi({"rank": dispatcher}, emit), cast(Proxy, Forwarded())
    return public_app({"rank": dispatcher}, cast("asyncio.Task[URL]", moto), invokes, FunctionsApi({}), proxy)


def test_lambda_and_its_health_are_answered_here_and_the_rest_by_moto() -> None:
    async def talk(client, dispatcher) -> None:
        assert (await client.get(HEALTH_PATH)).content_type == "application/json"
        assert (await client.post(PATH.format(name="nobody"))).headers[
            "X-Amzn-ErrorType"
        ] == "ResourceNotFoundException"
        for method, path in (("PUT", "/bucket/key"), ("POST", "/"), ("GET", PATH.format(name="rank"))):
            answer = await client.request(method, path)
            assert await answer.text() == f"{method} {path}"

    converse(app_of, talk)


@pytest.mark.parametrize(("moto", "worker"), [(False, True), (True, False), (True, True)])
def test_it_is_ready_once_moto_has_started_and_a_worker_waits(moto: bool, worker: bool) -> None:
    async def talk(client, dispatcher) -> None:
        poll = asyncio.create_task(dispatcher.next("worker")) if worker else None
        await asyncio.sleep(0)
        health = await (await client.get(HEALTH_PATH)).json()
        assert health["ready"] is (moto and worker)
        assert health["functions"]["rank"]["idle"] == int(worker)
        if poll:
            poll.cancel()

    converse(partial(app_of, started=moto), talk)
