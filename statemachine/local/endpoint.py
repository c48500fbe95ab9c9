"""Puts the local AWS endpoint together: Lambda's two APIs, the workers behind them, and moto for the rest."""

import asyncio
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack

from aiohttp import web
from yarl import URL

from statemachine.local.dispatcher import Dispatcher, Emit
from statemachine.local.function_logs import FunctionLogs, keep_log_groups, make_log_groups
from statemachine.local.functions_api import FunctionsApi
from statemachine.local.invoke_api import PATH as INVOKE_PATH
from statemachine.local.invoke_api import InvokeApi
from statemachine.local.moto_backend import Proxy, make_state_machine, start_moto
from statemachine.local.outcomes import PAYLOAD_LIMIT
from statemachine.local.processes import WorkerSupervisor
from statemachine.local.refusals import Refusals
from statemachine.local.runtime_api import runtime_app
from statemachine.local.serving import listen
from statemachine.local.settings import FUNCTIONS, FunctionSettings
from statemachine.local.strangers import OWN_NAME, without_strangers

HEALTH_PATH = "/_local/health"


async def serve(
    host: str,
    port: int,
    functions: Mapping[str, FunctionSettings],
    environ: Mapping[str, str],
    emit: Emit,
    stop: asyncio.Event,
    concurrency: int | None = None,
) -> None:
    """Serves until `stop` is set, and then ends every worker.

    Args:
        host: The address of all ports.
        port: That of the Invoke API and of moto; 0 takes a free one.
        functions: What can be invoked.
        environ: What workers inherit.
        emit: Writes an event to the log.
        stop: Ends the endpoint once it is set.
        concurrency: How many invocations the account may have at a time; None for as many as come.

    Raises:
        OSError: An address cannot be listened on.
        ExceptionGroup: moto cannot be started.
    """
    async with AsyncExitStack() as stack:
        listener = socket.create_server((host, port))
        stack.callback(listener.close)
        port = listener.getsockname()[1]
        logs = {name: FunctionLogs(name, function.memory_mb) for name, function in functions.items()}
        dispatchers = {name: Dispatcher(name, function, emit, logs[name]) for name, function in functions.items()}
        runtime_apis = {}
        for name, dispatcher in dispatchers.items():
            stack.callback(dispatcher.close)
            runtime_apis[name] = await listen(stack, runtime_app(dispatcher), host, dispatcher.settings.runtime_port)
        async with asyncio.TaskGroup() as tasks:
            moto = tasks.create_task(asyncio.to_thread(start_moto, port))
            prepared = tasks.create_task(_prepare(moto, functions))
            keeping = tasks.create_task(keep_log_groups(logs.values(), moto))
            waking_s = {name: function.waking_s for name, function in functions.items() if function.waking_s}
            refusals = Refusals(concurrency, waking_s)
            invokes, proxy = InvokeApi(dispatchers, emit, refusals), Proxy(moto, prepared)
            asked = FunctionsApi({name: each.settings for name, each in dispatchers.items()}, refusals)
            stack.push_async_callback(proxy.close)
            stack.push_async_callback(invokes.close)
            await listen(stack, public_app(dispatchers, moto, invokes, asked, proxy, host), listener)
            emit({"event": "listening", "port": port, "host": host, "runtime_apis": runtime_apis})
            supervisors = [
                WorkerSupervisor(dispatcher, worker, environ, f"http://127.0.0.1:{port}", emit)
                for dispatcher in dispatchers.values()
                for worker in dispatcher.kept_workers
            ]
            running = [tasks.create_task(supervisor.run()) for supervisor in supervisors]
            await stop.wait()
            for task in (*running, keeping, prepared):
                task.cancel()


async def _prepare(moto: asyncio.Task[URL], functions: Mapping[str, FunctionSettings]) -> None:
    """Makes what clients find in a fresh endpoint. That takes a second, which S3 need not wait for."""
    await asyncio.shield(moto)
    await asyncio.to_thread(make_log_groups, functions)
    if functions.keys() >= FUNCTIONS.keys():
        await asyncio.to_thread(make_state_machine)


def public_app(
    dispatchers: Mapping[str, Dispatcher],
    moto: asyncio.Task[URL],
    invokes: InvokeApi,
    asked: FunctionsApi,
    proxy: Proxy,
    own_name: str = "",
) -> web.Application:
    """Makes the application of the public port."""

    async def health(request: web.Request) -> web.Response:
        ready = moto.done() and all(dispatcher.queue.ready for dispatcher in dispatchers.values())
        functions = {name: dispatcher.health() for name, dispatcher in dispatchers.items()}
        return web.json_response({"ready": ready, "functions": functions})

    # The limit is one of bodies that are read whole; those to moto are streamed.
    app = web.Application(client_max_size=PAYLOAD_LIMIT, middlewares=[without_strangers])
    app[OWN_NAME] = own_name
    app.router.add_get(HEALTH_PATH, health)
    app.router.add_post(INVOKE_PATH, invokes.invoke)
    asked.add_to(app)
    app.router.add_route("*", "/{path:.*}", proxy.forward)
    return app
