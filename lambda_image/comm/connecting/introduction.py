"""Carries a handshake over a connected socket, on an asyncio loop."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from lambda_image.comm.channel.handshake import (
    NONCE_BYTES,
    PROCESS_BYTES,
    Handshake,
    HandshakeRefused,
    Member,
    OtherVersion,
    Session,
)
from lambda_image.comm.channel.transport import Transport
from lambda_image.comm.connecting.sockets import reset

HANDSHAKE_LIMIT_S = 5.0  # for six messages, two of them 64 kB: several retransmissions fit


class Abandoned(HandshakeRefused):
    """Both ends have greeted, but the two ranks have another connection, or are about to have one."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who this rank is, and what it proves that with."""

    own: Member
    run_key: bytes
    encrypted: bool
    process: bytes = field(default_factory=lambda: os.urandom(PROCESS_BYTES))
    nonce: Callable[[int], bytes] = os.urandom

    def handshake(self, way: tuple[Transport, Member] | None = None, *, probe: bool = True) -> Handshake:
        """Begin a handshake, on a connection that was dialled this way to this member. Without `way` it came in."""
        return Handshake(
            self.run_key,
            self.own,
            way=way,
            encrypted=self.encrypted,
            probe=probe,
            nonce=self.nonce(NONCE_BYTES),
            process=self.process,
        )


Choice = Callable[[Handshake], Awaitable[bool]]


def leaves_host(sock: socket.socket) -> bool:
    """Whether the two ends are on different hosts, so that the path between them could stall."""
    try:
        return bool(sock.getsockname()[0] != sock.getpeername()[0])
    except OSError:
        return True  # it has ended already


async def introduce(
    sock: socket.socket, handshake: Handshake, chosen: Choice, *, early: bytes = b"", limit_s: float = HANDSHAKE_LIMIT_S
) -> Session:
    """Let both ends prove themselves. `early` is what has been received already.

    `chosen` is asked by the side that controls, before the probe and before the nomination, whether this connection is
    wanted. When this returns at that side, nothing has happened on the loop since `chosen` said yes for the last time.

    Closes the socket and raises Abandoned, HandshakeRefused or OSError (TimeoutError is one) otherwise.
    """
    try:
        async with asyncio.timeout(limit_s):
            return await _converse(sock, handshake, chosen, bytearray(early))
    except OtherVersion as error:
        with suppress(OSError):
            sock.send(error.greeting)
        sock.close()  # in order, since a reset would say nothing of versions
        raise
    except (Abandoned, asyncio.CancelledError):
        sock.close()  # in order, so that the other end reads the greeting first and knows whose connection this was
        raise
    except BaseException as error:
        reset(sock)
        if handshake.greeted and isinstance(error, ConnectionError):
            raise Abandoned("it closed the connection during the handshake") from error
        raise


async def _converse(sock: socket.socket, handshake: Handshake, chosen: Choice, early: bytearray) -> Session:
    loop = asyncio.get_running_loop()
    if handshake.dials:
        await loop.sock_sendall(sock, handshake.greet())
    while handshake.wanted:
        data = await _exactly(sock, handshake, early)
        answer = handshake.feed(data)
        if handshake.proven and handshake.controls and not await chosen(handshake):
            raise Abandoned("the two are connected")
        if answer:
            await loop.sock_sendall(sock, answer)
    if handshake.session is None:
        if sock.send(nomination := handshake.nominate()) < len(nomination):
            raise HandshakeRefused("it does not read")  # it has read everything before, so the buffer was empty
        assert handshake.session is not None
    return handshake.session


async def _exactly(sock: socket.socket, handshake: Handshake, early: bytearray) -> bytes:
    """The bytes that the handshake wants next, the early ones first."""
    loop, wanted = asyncio.get_running_loop(), handshake.wanted
    data = early[:wanted]
    del early[:wanted]
    while len(data) < wanted:
        more = await loop.sock_recv(sock, wanted - len(data))
        if not more:
            ended = "it closed the connection during the handshake"
            raise Abandoned(ended) if handshake.greeted and not data else HandshakeRefused(ended)
        data += more
    return bytes(data)
