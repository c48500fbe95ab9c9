"""The Lambda Runtime API as `awslambdaric` speaks it. Each worker that is kept has its own, all others share one."""

import asyncio
import json
import secrets
import time
from weakref import WeakSet

from aiohttp import web

from statemachine.local.dispatcher import Dispatcher
from statemachine.local.function_queue import UnknownInvocationError
from statemachine.local.outcomes import PAYLOAD_LIMIT, InvocationOutcome, response_too_large
from statemachine.local.settings import function_arn
from statemachine.local.strangers import without_strangers

PREFIX = "/2018-06-01/runtime"


def runtime_app(dispatcher: Dispatcher, worker: str | None = None) -> web.Application:
    """Makes the application through which workers get invocations and answer them.

    A worker from outside counts as lost when its connection ends, which `awslambdaric` keeps from poll to poll. The
    loss of one that makes a connection for each request shows only at the timeout of its invocation.

    Args:
        dispatcher: The function's.
        worker: The one process that polls here. None stands for any number, told apart by their connections.
    """
    watched: WeakSet[asyncio.Task[None]] = WeakSet()  # connections whose end the dispatcher will be told

    def watch(connection: asyncio.Task[None], name: str) -> None:
        if connection not in watched:
            watched.add(connection)
            connection.add_done_callback(lambda _: dispatcher.hung_up(name))

    def name_of(request: web.Request) -> str:
        host, port = request.transport.get_extra_info("peername")[:2] if request.transport else ("gone", 0)
        return worker or f"{host}:{port}"

    async def next_invocation(request: web.Request) -> web.Response:
        if worker is None and request.keep_alive:
            watch(request.task, name_of(request))
        invocation = await dispatcher.next(name_of(request))
        now = time.time()
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.id,
            "Lambda-Runtime-Deadline-Ms": str(int((now + dispatcher.settings.timeout_s) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": function_arn(dispatcher.name),
            "Lambda-Runtime-Trace-Id": f"Root=1-{int(now):08x}-{secrets.token_hex(12)};Sampled=0",
        }
        return web.Response(body=invocation.payload, content_type="application/json", headers=headers)

    async def response(request: web.Request) -> web.Response:
        try:
            outcome = InvocationOutcome(await request.read())
        except web.HTTPRequestEntityTooLarge:
            answer(request, response_too_large())
            return refusal(413, "RequestEntityTooLarge", f"a response may have {PAYLOAD_LIMIT} bytes")
        return answer(request, outcome)

    async def error(request: web.Request) -> web.Response:
        return answer(request, InvocationOutcome(await request.read(), failed=True))

    async def init_error(request: web.Request) -> web.Response:
        dispatcher.start_failed(name_of(request), InvocationOutcome(await request.read(), failed=True))
        return web.json_response({"status": "OK"}, status=202)

    def answer(request: web.Request, outcome: InvocationOutcome) -> web.Response:
        try:
            dispatcher.answer(request.match_info["id"], outcome)
        except UnknownInvocationError as unknown:
            # On Lambda the process would have been ended. awslambdaric ends itself at this answer.
            return refusal(400, "InvalidRequestID", f"invocation {unknown} is not running: answered, or timed out")
        return web.json_response({"status": "OK"}, status=202)

    app = web.Application(client_max_size=PAYLOAD_LIMIT, middlewares=[without_strangers])
    app.router.add_get(f"{PREFIX}/invocation/next", next_invocation)
    app.router.add_post(f"{PREFIX}/invocation/{{id}}/response", response)
    app.router.add_post(f"{PREFIX}/invocation/{{id}}/error", error)
    app.router.add_post(f"{PREFIX}/init/error", init_error)
    return app


def refusal(status: int, error_type: str, message: str) -> web.Response:
    """Makes an error of the Runtime API."""
    body = json.dumps({"errorType": error_type, "errorMessage": message})
    return web.Response(status=status, text=body, content_type="application/json")
