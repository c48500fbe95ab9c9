"""What a rank learns of its NAT: the real server, and a NAT made of forwarded connections on loopback."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import cast

import pytest

from lambda_image.comm.communicator import Communicator
from lambda_image.comm.connecting.nat import Nat
from lambda_image.comm.connecting.rendezvous import PROBE_LIMIT_S, RendezvousConnection
from rendezvous_server.protocol import Join
from tests.integration.rendezvous import DEADLINE_S, KEY, Server, Start, until

INSIDE = "127.0.0.2"  # where ranks behind the NAT find the server, on its own ports


@pytest.fixture
def server(start: Start) -> Server:
    return start(RENDEZVOUS_KEY=KEY)


class FakeNat:
    """`one_mapping`: all connections from one local port leave from one port, whatever they go to; otherwise each from
    another. `blocked` is a port that takes connections and never answers."""

    def __init__(self, *, one_mapping: bool, blocked: int = 0) -> None:
        self._one_mapping = one_mapping
        self._blocked = blocked
        self._mapped: dict[int, int] = {}
        self._writers: list[asyncio.StreamWriter] = []
        self._forwarding: list[asyncio.Task] = []

    @asynccontextmanager
    async def before(self, server: Server) -> AsyncIterator[str]:
        """Where ranks find the server through this NAT."""
        async with (
            await asyncio.start_server(self._forward, INSIDE, server.port),
            await asyncio.start_server(self._forward, INSIDE, server.probe_port),
        ):
            try:
                yield f"{INSIDE}:{server.port}"
                await asyncio.gather(*self._forwarding)
            finally:
                for writer in self._writers:
                    writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, port = writer.get_extra_info("peername")[1], writer.get_extra_info("sockname")[1]
        self._writers.append(writer)
        if port == self._blocked:
            return
        self._forwarding.append(cast(asyncio.Task, asyncio.current_task()))
        outer = socket.socket()
        outer.setblocking(False)
        outer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        outer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        outer.bind(("127.0.0.1", self._mapped.get(inner, 0) if self._one_mapping else 0))
        self._mapped[inner] = outer.getsockname()[1]
        await asyncio.get_running_loop().sock_connect(outer, ("127.0.0.1", port))
        out_reader, out_writer = await asyncio.open_connection(sock=outer)
        self._writers.append(out_writer)
        await asyncio.gather(pump(reader, out_writer), pump(out_reader, writer))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(10_000):
            writer.write(data)
    writer.close()


async def joined(endpoint: str, probe_limit_s: float = DEADLINE_S) -> tuple[RendezvousConnection, float]:
    """A line that has joined, and how long the join took. A busy machine may take its time for the probe."""
    deadline = time.monotonic() + 2 * DEADLINE_S
    line = await RendezvousConnection.connect(endpoint, deadline, probe_limit_s=probe_limit_s)
    began = time.monotonic()
    await line.join(Join("run", 0, 2), KEY.encode(), deadline)
    return line, time.monotonic() - began


@pytest.mark.parametrize(
    ("one_mapping", "nat"), [(True, Nat.ENDPOINT_INDEPENDENT), (False, Nat.ADDRESS_AND_PORT_DEPENDENT)]
)
def test_a_rank_learns_what_its_nat_does(server: Server, one_mapping: bool, nat: Nat) -> None:
    async def scenario() -> None:
        async with FakeNat(one_mapping=one_mapping).before(server) as endpoint:
            line, _ = await joined(endpoint)
            assert line.nat is nat
            await line.leave()

    asyncio.run(scenario())
    until(lambda: len(server.outcomes()) == 2, "both connections are gone")
    assert {line["dialect"]: line["outcome"] for line in server.connections()} == {"probe": "probed", "group": "left"}


def test_a_probe_that_is_not_answered_delays_the_join_a_little(server: Server) -> None:
    async def scenario() -> None:
        async with FakeNat(one_mapping=True, blocked=server.probe_port).before(server) as endpoint:
            line, seconds = await joined(endpoint, PROBE_LIMIT_S)
            assert line.nat is Nat.UNKNOWN
            assert seconds >= PROBE_LIMIT_S
            await line.leave()

    asyncio.run(scenario())


def test_without_a_nat_there_is_no_probe(server: Server) -> None:
    async def scenario() -> None:
        line, _ = await joined(f"127.0.0.1:{server.port}")
        assert line.nat is Nat.NONE
        await line.leave()

    asyncio.run(scenario())
    until(lambda: server.outcomes() == ["left"], "it is gone")


def test_without_a_probe_port_the_nat_is_unknown(start: Start) -> None:
    server = start("--probe-port", "off", RENDEZVOUS_KEY=KEY)
    server.probe_port = 0  # for the NAT: any

    async def scenario() -> None:
        async with FakeNat(one_mapping=True).before(server) as endpoint:
            line, _ = await joined(endpoint)
            assert line.nat is Nat.UNKNOWN
            await line.leave()

    asyncio.run(scenario())
    until(lambda: server.outcomes() == ["left"], "it is gone")


def test_a_communicator_knows_its_nat(server: Server) -> None:
    with Communicator.join(
        f"127.0.0.1:{server.port}",
        run_id="run",
        run_key=os.urandom(32),
        rank=0,
        world_size=2,
        rendezvous_key=KEY.encode(),
        deadline=time.monotonic() + DEADLINE_S,
    ) as communicator:
        until(lambda: communicator.nat is Nat.NONE, "it has joined")
