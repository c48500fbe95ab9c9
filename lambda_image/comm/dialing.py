"""One connection to one peer, from TCP to the proof of who is there; on an asyncio loop, with sockets to hand on.

`race` tries all candidates with staggered starts. The first that proves itself gets the last message of the handshake
and so becomes the channel, at both ends; the others are closed.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from lambda_image.comm.candidates import Candidate, Transport
from lambda_image.comm.handshake import NONCE_BYTES, PROOF_BYTES, Handshake, HandshakeRefused, Member, Session

TRY_LIMIT_S = (
    4.0  # for one candidate's connection and handshake, before it is tried anew: two retransmissions of a SYN fit
)
BACKLOG = 512  # connections that the kernel holds: all ranks of a large world dial the root at once


class Abandoned(HandshakeRefused):
    """The peer closed where its last proof was due: it has chosen another way to this rank."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who this rank is, and what it proves that with."""

    own: Member
    run_key: bytes
    tags: bool
    nonce: Callable[[int], bytes] = os.urandom

    def handshake(self, *, opens: bool, peer: Member | None) -> Handshake:
        return Handshake(self.run_key, self.own, opens=opens, peer=peer, tags=self.tags, nonce=self.nonce(NONCE_BYTES))


@dataclass(frozen=True, slots=True)
class Connected:
    sock: socket.socket
    session: Session
    transport: Transport


def listen(host: str) -> socket.socket:
    """A listening socket for peers that know this host as `host`: on every interface, or, if that is a
    loopback address, on loopback only (the server runs on this very host, and so, it is taken, do all ranks).
    """
    address = ip_address(host)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    bind_to = host if address.is_loopback else ""
    sock = socket.create_server((bind_to, 0), family=family, backlog=BACKLOG)
    sock.setblocking(False)
    return sock


async def welcome(sock: socket.socket, credentials: Credentials) -> Connected:
    """Let whoever dialled prove itself. Closes the socket and raises HandshakeRefused or OSError otherwise."""
    handshake = credentials.handshake(opens=False, peer=None)
    try:
        await _exchange(sock, handshake)
    except BaseException:
        sock.close()
        raise
    assert handshake.session is not None
    return Connected(sock, handshake.session, Transport.DIRECT)


async def race(
    plan: Sequence[Candidate], peer: Member, credentials: Credentials, failures: dict[Candidate, str]
) -> Connected | None:
    """The first candidate that authenticates, or None when all have failed; why is left in `failures`."""
    first: asyncio.Future[Connected] = asyncio.get_running_loop().create_future()
    tries = [asyncio.create_task(_try(way, peer, credentials, first, failures)) for way in plan]
    pending: set[asyncio.Future] = {first, *tries}
    try:
        while not first.done():
            if pending == {first}:
                return None
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for attempt in done:
                attempt.result()  # a defect in a try must not pass for a way that failed
        return first.result()
    except BaseException:
        if first.done():
            first.result().sock.close()
        raise
    finally:
        for attempt in tries:
            attempt.cancel()


async def _try(
    way: Candidate,
    peer: Member,
    credentials: Credentials,
    first: asyncio.Future[Connected],
    failures: dict[Candidate, str],
) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(way.delay_s)
    sock = socket.socket(socket.AF_INET6 if ":" in way.endpoint.host else socket.AF_INET)
    try:
        sock.setblocking(False)
        handshake = credentials.handshake(opens=True, peer=peer)
        async with asyncio.timeout(TRY_LIMIT_S):
            await loop.sock_connect(sock, way.endpoint)
            await _exchange(sock, handshake)
        if not first.done():
            sock.send(handshake.prove())  # fits the empty send buffer: nothing comes between this and the next lines
            assert handshake.session is not None
            first.set_result(Connected(sock, handshake.session, way.transport))
    except (HandshakeRefused, OSError) as error:
        failures[way] = in_words(error)
    finally:
        if not (first.done() and not first.cancelled() and first.result().sock is sock):
            sock.close()


def in_words(error: Exception) -> str:
    """Why a connection failed: what the system says of an error number, without asyncio's wording and numbers."""
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return str(error) or "no answer in time"


async def _exchange(sock: socket.socket, handshake: Handshake) -> None:
    """Carry the handshake's bytes until it wants no more. Raises HandshakeRefused, OSError."""
    loop = asyncio.get_running_loop()
    if handshake.opens:
        await loop.sock_sendall(sock, handshake.hello())
    while handshake.wanted:
        data = b""
        while len(data) < handshake.wanted:
            more = await loop.sock_recv(sock, handshake.wanted - len(data))
            if not more:
                abandoned = not handshake.opens and handshake.wanted == PROOF_BYTES and not data
                raise (Abandoned if abandoned else HandshakeRefused)("it closed the connection during the handshake")
            data += more
        answer = handshake.feed(data)
        if answer:
            await loop.sock_sendall(sock, answer)
