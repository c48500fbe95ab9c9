"""Connections over loopback, both ends in one event loop."""

import asyncio
import os
import socket

import pytest

from lambda_image.comm.candidates import Candidate, Transport
from lambda_image.comm.dialing import Abandoned, Connected, Credentials, listen, race, welcome
from lambda_image.comm.handshake import HandshakeRefused, Member
from rendezvous_server.protocol import Endpoint

KEY = os.urandom(32)
ANSWERER, OPENER = Member(0, 0), Member(1, 0)


def credentials(own: Member, key: bytes = KEY) -> Credentials:
    return Credentials(own, key, tags=True)


def way(listener: socket.socket, delay_s: float = 0.0) -> Candidate:
    return Candidate(Transport.DIRECT, Endpoint(*listener.getsockname()[:2]), delay_s)


async def accept(listener: socket.socket, key: bytes = KEY) -> Connected:
    sock, _ = await asyncio.get_running_loop().sock_accept(listener)
    return await welcome(sock, credentials(ANSWERER, key))


def close(*ends: Connected | None) -> None:
    for end in ends:
        if end is not None:
            end.sock.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_both_ends_of_the_winner_agree(host: str) -> None:
    async def scenario() -> None:
        with listen(host) as listener:
            answerer, opener = await asyncio.gather(
                accept(listener), race([way(listener)], ANSWERER, credentials(OPENER), {})
            )
            assert opener is not None
            assert (opener.session.peer, answerer.session.peer) == (ANSWERER, OPENER)
            assert opener.sock.getpeername() == answerer.sock.getsockname()
            close(answerer, opener)

    asyncio.run(scenario())


def test_a_silent_and_a_refused_candidate_lose() -> None:
    async def scenario() -> None:
        with listen("127.0.0.1") as silent, listen("127.0.0.1") as good:
            with listen("127.0.0.1") as closed:
                refused = way(closed)
            failures: dict[Candidate, str] = {}
            plan = [way(silent), refused, way(good, delay_s=0.05)]
            answerer, opener = await asyncio.gather(accept(good), race(plan, ANSWERER, credentials(OPENER), failures))
            assert opener is not None
            assert opener.sock.getpeername() == good.getsockname()
            assert failures[refused] == "Connection refused"
            close(answerer, opener)

    asyncio.run(scenario())


def test_of_two_that_answer_one_becomes_the_channel_and_the_other_is_let_go() -> None:
    async def scenario() -> None:
        with listen("127.0.0.1") as one, listen("127.0.0.1") as other:
            opener, *answerers = await asyncio.gather(
                race([way(one), way(other)], ANSWERER, credentials(OPENER), {}),
                accept(one),
                accept(other),
                return_exceptions=True,
            )
            assert sorted(type(end).__name__ for end in answerers) == ["Abandoned", "Connected"]
            close(opener, *(end for end in answerers if isinstance(end, Connected)))

    asyncio.run(scenario())


def test_when_all_fail_the_reasons_are_left() -> None:
    async def scenario() -> None:
        with listen("127.0.0.1") as listener:
            failures: dict[Candidate, str] = {}
            plan = [way(listener)]
            answerer, opener = await asyncio.gather(
                accept(listener, key=bytes(32)),
                race(plan, ANSWERER, credentials(OPENER), failures),
                return_exceptions=True,
            )
            assert opener is None
            assert isinstance(answerer, Abandoned)
            assert "does not hold this run's key" in failures[plan[0]]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\nHost: example.org\r\nAccept: text/html, */*\r\n\r\n", b"short", b""]
)
def test_strangers_are_refused_and_their_socket_closed(garbage: bytes) -> None:
    async def scenario() -> None:
        with listen("127.0.0.1") as listener, socket.create_connection(listener.getsockname()) as stranger:
            stranger.sendall(garbage)
            stranger.shutdown(socket.SHUT_WR)
            with pytest.raises(HandshakeRefused) as caught:
                await accept(listener)
            assert not isinstance(caught.value, Abandoned)

    asyncio.run(scenario())


def test_a_race_that_is_cancelled_leaves_no_socket() -> None:
    async def scenario() -> None:
        with listen("127.0.0.1") as silent:
            before = len(os.listdir("/proc/self/fd"))
            task = asyncio.create_task(race([way(silent)], ANSWERER, credentials(OPENER), {}))
            sock, _ = await asyncio.get_running_loop().sock_accept(silent)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0)
            sock.close()
            assert len(os.listdir("/proc/self/fd")) == before

    asyncio.run(scenario())


def test_loopback_is_not_opened_to_the_network() -> None:
    with listen("127.0.0.1") as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
    with listen("192.0.2.1") as listener:
        assert listener.getsockname()[0] == "0.0.0.0"
