import asyncio
import errno
import socket

import pytest

from lambda_image.comm.connecting.dialing import (
    LONGEST_FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    SHORTEST_PAUSE_S,
    TAKEN,
    dial,
    pause_s,
)
from lambda_image.comm.connecting.sockets import LocalPort
from rendezvous_server.protocol import Endpoint
from tests.unit.lambda_image.comm.local_group import OpenSockets

REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
LOOPBACK = LocalPort(socket.AF_INET, "127.0.0.1")


def middle(low: float, high: float) -> float:
    return (low + high) / 2


@pytest.mark.parametrize(
    ("rtt_s", "first"), [(0.0, SHORTEST_PAUSE_S), (0.02, 0.01), (0.3, LONGEST_FIRST_PAUSE_S)], ids=str
)
def test_the_first_pause_is_about_the_time_to_the_other_side(rtt_s: float, first: float) -> None:
    assert pause_s(REFUSED, 1, rtt_s, middle) == first


def test_pauses_grow_to_a_limit_and_are_spread() -> None:
    pauses = [pause_s(REFUSED, failed, 0.02, middle) for failed in range(1, 1000)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_S
    assert sum(pauses[:20]) < 1.0  # so many while a relay does not compete yet
    drawn = {pause_s(REFUSED, 1, 0.02) for _ in range(100)}
    assert len(drawn) > 50
    assert all(0.005 <= pause <= 0.015 for pause in drawn)


@pytest.mark.parametrize("number", sorted(TAKEN))
def test_where_there_is_a_connection_already_it_gets_its_time(number: int) -> None:
    assert pause_s(OSError(number, ""), 1, 0.02, middle) == LONGEST_PAUSE_S


def test_one_port_dials_many_peers_and_none_of_them_twice() -> None:
    async def scenario() -> None:
        with LOOPBACK.listen() as own, LOOPBACK.listen() as one, LOOPBACK.listen() as other:
            port = LocalPort.of(own)
            for listener in (one, other):
                endpoint = Endpoint(*listener.getsockname())
                with await dial(endpoint, port, bytes) as sock:
                    assert (sock.getsockname(), sock.getpeername()) == (own.getsockname(), listener.getsockname())
                    with pytest.raises(OSError) as caught:
                        (await dial(endpoint, port, bytes)).close()
                    assert caught.value.errno in TAKEN

    asyncio.run(scenario())


def test_a_dial_that_fails_or_is_cancelled_leaves_no_socket(open_sockets: OpenSockets) -> None:
    async def scenario() -> None:
        with LOOPBACK.listen() as own, LOOPBACK.open() as closed:
            before = open_sockets()
            port, nobody = LocalPort.of(own), Endpoint(*closed.getsockname())
            with pytest.raises(ConnectionRefusedError):
                await dial(nobody, port, bytes)
            assert open_sockets() <= before
            with (
                socket.create_server(("127.0.0.1", 0), backlog=0) as full,
                socket.create_connection(full.getsockname()),
            ):
                before = open_sockets()
                pending = asyncio.create_task(dial(Endpoint(*full.getsockname()), LocalPort(socket.AF_INET), bytes))
                await asyncio.sleep(0)
                assert not open_sockets() <= before
                pending.cancel()
                await asyncio.gather(pending, return_exceptions=True)
                assert open_sockets() <= before

    asyncio.run(scenario())
