"""Starts the endpoint's HTTP servers, all of them in the same way."""

import socket
from contextlib import AsyncExitStack

from aiohttp import web

# Seconds that a connection may be silent. An idle one costs nothing, and one that is closed during an invocation, which
# takes 900 s at most, would be taken for the end of the worker at its other end.
KEEP_ALIVE_S = 3600.0
BACKLOG = 1024  # connections that wait to be accepted: a Map of a thousand ranks starts all at once


async def listen(stack: AsyncExitStack, app: web.Application, where: str | socket.socket, port: int = 0) -> str:
    """Serves `app` on a bound socket, or on a host and port, until `stack` ends. Returns the address as host:port."""
    # A handler is cancelled when its client hangs up, so that nothing is given to a worker that is gone. Bodies stay as
    # they were sent: a compressed upload to S3 must arrive compressed.
    runner = web.AppRunner(
        app,
        handler_cancellation=True,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=KEEP_ALIVE_S,
        shutdown_timeout=0.1,
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    if isinstance(where, socket.socket):
        await web.SockSite(runner, where, backlog=BACKLOG).start()
    else:
        await web.TCPSite(runner, where, port, backlog=BACKLOG).start()
    host, taken = runner.addresses[0][:2]
    return f"{host}:{taken}"
