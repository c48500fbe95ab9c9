"""Lets a process in a network namespace reach a server on this machine's loopback, as if it were on its own.

A rank in a namespace reaches Lambda's Runtime API and S3 this way. They are no part of the network that faults befall.
"""

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

from tests.network.namespace import Namespace, enter, in_a_thread

PIECE = 1 << 16


@contextmanager
def forwarded(namespaces: Sequence[Namespace], ports: Sequence[int]) -> Iterator[None]:
    """Has each of these ports of the loopback in each namespace lead to the same port of this machine's."""
    sockets = [(in_a_thread(partial(_listening, place.path, port)), port) for place in namespaces for port in ports]
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=_serve, args=(loop, sockets), name="forwarding", daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for sock, _ in sockets:
            sock.close()


def _listening(namespace: str, port: int) -> socket.socket:
    enter(namespace)
    return socket.create_server(("127.0.0.1", port), backlog=128)


def _serve(loop: asyncio.AbstractEventLoop, sockets: Sequence[tuple[socket.socket, int]]) -> None:
    asyncio.set_event_loop(loop)
    for sock, port in sockets:
        loop.run_until_complete(asyncio.start_server(_forwarder(port), sock=sock))
    loop.run_forever()
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))


def _forwarder(port: int):  # type: ignore[no-untyped-def]
    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(_copy(reader, back), _copy(there, writer))

    return forward


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.CancelledError):
        while data := await reader.read(PIECE):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.close()
