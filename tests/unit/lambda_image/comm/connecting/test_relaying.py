"""A relayed connection's beginning, against the protocol's own server side."""

import asyncio
import socket
from collections.abc import Callable

import pytest

from lambda_image.comm.connecting.relaying import RelayRefused, relay
from rendezvous_server.protocol import (
    Endpoint,
    RejectCode,
    Relay,
    RelayRequested,
    RemoteProtocolError,
    ServerConnection,
)
from tests.unit.lambda_image.comm.local_group import OpenSockets

KEY = b"key"
WISH = Relay("run", 1, 2, 0, 3)
Script = Callable[[ServerConnection], bytes]


def spliced(connection: ServerConnection) -> bytes:
    connection.splice()
    return connection.data_to_send() + b"early"


def refused(connection: ServerConnection) -> bytes:
    connection.reject(RejectCode.UNKNOWN, "rank 0 is not here")
    return connection.data_to_send()


async def ask(script: Script, key: bytes | None = KEY) -> tuple[socket.socket, bytes]:
    """What comes of a wish when the server answers like this, and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = ServerConnection(KEY, lambda: bytes(16), Endpoint("203.0.113.9", 1))
        while writer.can_write_eof() and (data := await reader.read(1000)):
            for event in connection.receive_data(data):
                writer.write(connection.data_to_send())
                if isinstance(event, RelayRequested):
                    assert event.relay == WISH
                    writer.write(script(connection))
                    writer.close()
                    return
            writer.write(connection.data_to_send())

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        return await relay(server.sockets[0].getsockname(), WISH, key, 1000)


def test_a_relay_gives_a_socket_and_what_has_come_already() -> None:
    async def scenario() -> None:
        sock, early = await ask(spliced)
        with sock:
            while len(early) < 5:
                early += sock.recv(5 - len(early))
            assert early == b"early"
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= 1000

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("script", "reason"),
    [(refused, "rank 0 is not here"), (lambda _: b"", "closed the connection"), (lambda _: b"\xff\0\0", "0xff")],
    ids=["refused", "closed", "nonsense"],
)
def test_a_refusal_says_why_and_leaves_no_socket(script: Script, reason: str, open_sockets: OpenSockets) -> None:
    async def scenario() -> None:
        with pytest.raises(RelayRefused, match=reason) as caught:
            await ask(script)
        assert isinstance(caught.value, OSError)
        assert isinstance(caught.value.__cause__, RemoteProtocolError) == (reason == "0xff")

    before = open_sockets()
    asyncio.run(scenario())
    assert open_sockets() <= before


def test_a_server_that_is_gone() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        with pytest.raises(ConnectionRefusedError):
            asyncio.run(relay(nobody.getsockname(), WISH, KEY, None))
