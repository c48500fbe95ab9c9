"""The least that a pairing costs on uvloop. It is a server of two connections each, which checks and remembers nothing.

The exchange has the shape of a pairing. Each client says a name, the first gets 8 bytes at once, and the second gets 16
while the first gets 8 more. Then both are closed. What a client is told is no address, so nobody can use this server.
The first line of its standard output is its port.
"""

import asyncio
import socket
from typing import cast

from scripts.bench.rendezvous.answers import ANSWER_BYTES, RECORD

BACKLOG = 4096
NOWHERE = bytes(RECORD.size)
NOBODY = bytes(ANSWER_BYTES)


class BareExchange(asyncio.Protocol):
    """Answers one client."""

    waiting: dict[bytes, asyncio.Transport] = {}  # noqa: RUF012 - of all clients

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none of asyncio's

    def data_received(self, data: bytes) -> None:
        transport = self.transport
        first = self.waiting.pop(data, None)
        if first is None:
            self.waiting[data] = transport
            transport.write(NOWHERE)
            return
        transport.write(NOBODY)
        first.write(NOWHERE)
        transport.close()
        first.close()


async def serve() -> None:
    """Serve until the process is ended."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    server = await asyncio.get_running_loop().create_server(BareExchange, sock=listening, backlog=BACKLOG)
    print(listening.getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    from uvloop import new_event_loop

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve())
