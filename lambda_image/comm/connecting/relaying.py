"""Connects to a peer through the rendezvous server. The protocol is rendezvous_server.protocol."""

import asyncio
import socket
from typing import Any

from lambda_image.comm.connecting.group_name import without_secret
from lambda_image.comm.connecting.sockets import set_options
from rendezvous_server.protocol import (
    ConnectionLost,
    Relay,
    RelayConnection,
    RemoteProtocolError,
    Spliced,
)

RECEIVE_BYTES = 1 << 16


class RelayRefused(OSError):
    """The server ended the connection before the peer came, and said why."""


async def relay(
    server: tuple[Any, ...], wish: Relay, key: bytes | None, max_segment: int | None
) -> tuple[socket.socket, bytes]:
    """Wait until the peer asks for the same.

    Returns a socket whose other end is the peer, and what has come from it already.

    `server` is the address that the rank's connection is connected to. Raises OSError.
    """
    loop, connection = asyncio.get_running_loop(), RelayConnection(wish, key)
    sock = socket.socket(socket.AF_INET6 if ":" in server[0] else socket.AF_INET)
    try:
        sock.setblocking(False)
        set_options(sock, max_segment)
        await loop.sock_connect(sock, server)
        while True:
            await loop.sock_sendall(sock, connection.data_to_send())
            data = await loop.sock_recv(sock, RECEIVE_BYTES)
            for event in list(connection.receive_data(data)) if data else connection.receive_eof():
                match event:
                    case Spliced(payload):
                        return sock, payload
                    case ConnectionLost():
                        raise RelayRefused("the rendezvous server closed the connection")
                    case _:
                        raise RelayRefused(without_secret(getattr(event, "reason", type(event).__name__), wish.run_id))
    except RemoteProtocolError as error:
        sock.close()
        raise RelayRefused(str(error)) from error
    except BaseException:
        sock.close()
        raise
