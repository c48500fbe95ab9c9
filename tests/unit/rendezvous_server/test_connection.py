"""What a connection does by itself, with transports that do as they are told. The rest is tested with real sockets in
tests/integration."""

import asyncio
import json
import struct
from collections.abc import Callable, Coroutine
from typing import Any

from rendezvous_server import protocol as p
from rendezvous_server.connection import LONGEST_READ_BYTES, Connection
from rendezvous_server.effects import Outcome
from rendezvous_server.limits import Limits
from rendezvous_server.log import Log
from rendezvous_server.protocol import ClientConnection, Join
from rendezvous_server.server import RendezvousServer
from rendezvous_server.settings import ServerSettings


class FakeTransport(asyncio.Transport):
    """Hands what is written to a client, or holds it back; counts the writes."""

    def __init__(self, port: int, client: ClientConnection | None = None) -> None:
        super().__init__()
        self.port = port
        self.client = client
        self.events: list[p.ClientEvent] = []
        self.writes = 0
        self.held_back = 0
        self.reads = True
        self.ended = ""

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("192.0.2.1", self.port) if self.port else None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes += 1
        if self.reads and self.client:
            self.events += self.client.receive_data(bytes(data))
        else:
            self.held_back += len(data)

    def get_write_buffer_size(self) -> int:
        return self.held_back

    def is_closing(self) -> bool:
        return bool(self.ended)

    def write_eof(self) -> None:
        self.ended = "write_eof"

    def close(self) -> None:
        self.ended = "close"

    def abort(self) -> None:
        self.ended = "abort"


def on_a_loop(story: Callable[[RendezvousServer, bytearray], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """The story, with a server that listens nowhere."""

    def test() -> None:
        async def run() -> None:
            written = bytearray()
            log = Log(written.extend, asyncio.get_running_loop())
            await story(RendezvousServer(ServerSettings(limits=Limits(), write_buffer_bytes=10_000), log), written)
            log.close()

        asyncio.run(run())

    return test


def member(server: RendezvousServer, rank: int, world_size: int) -> tuple[Connection, FakeTransport]:
    client = ClientConnection(Join("run-1", rank, world_size))
    transport = FakeTransport(40_000 + rank, client)
    connection = Connection(server)
    connection.connection_made(transport)
    connection.data_received(client.data_to_send())
    connection.data_received(client.data_to_send())
    return connection, transport


async def turn() -> None:
    """One turn of the loop and what it brought about."""
    for _ in range(3):
        await asyncio.sleep(0)


@on_a_loop
async def test_what_one_turn_brings_is_one_write(server: RendezvousServer, log: bytearray) -> None:
    members = [member(server, rank, 50) for rank in range(50)]
    for _, transport in members:
        assert transport.writes == 2  # the nonce, the answer to the join
    await turn()
    for _, transport in members:
        assert transport.writes == 3
        assert len(transport.events) == 1 + 49 + 1


@on_a_loop
async def test_a_slow_reader_is_dropped_and_the_others_are_told(server: RendezvousServer, log: bytearray) -> None:
    slow, slow_transport = member(server, 0, 3)
    _, transport = member(server, 1, 3)
    await turn()
    slow_transport.reads = False
    ping = struct.pack("!BH", 0x20, p.MAX_TOKEN) + bytes(p.MAX_TOKEN)
    for _ in range(10_000 // len(ping)):
        slow.data_received(ping)
    assert slow_transport.ended == ""
    slow.data_received(ping)
    assert slow_transport.ended == "abort"
    assert slow.outcome is Outcome.SLOW
    held_back = slow_transport.held_back
    slow.data_received(ping)  # what had come before the end means nothing any more
    assert slow_transport.held_back == held_back
    server.perform(server.registry.advance(server.now() + 1))  # after the quiet time that follows an announcement
    assert isinstance(transport.events[-1], p.PeerLeft)
    slow.connection_lost(None)
    server.log.close()
    assert json.loads(log)["outcome"] == "slow"


@on_a_loop
async def test_a_flood_is_not_read(server: RendezvousServer, log: bytearray) -> None:
    connection, transport = member(server, 0, 3)
    connection.data_received(bytes(LONGEST_READ_BYTES + 1))
    assert transport.ended == "abort"
    assert connection.outcome is Outcome.MALFORMED


@on_a_loop
async def test_a_flood_after_the_last_word_is_not_read_either(server: RendezvousServer, log: bytearray) -> None:
    connection, transport = member(server, 0, 3)
    connection.data_received(b"nonsense")
    assert transport.ended == "write_eof"
    connection.data_received(bytes(LONGEST_READ_BYTES + 1))
    assert transport.ended == "abort"
    connection.connection_lost(None)
    assert server.connections == set()


@on_a_loop
async def test_a_client_that_is_gone_before_it_is_met(server: RendezvousServer, log: bytearray) -> None:
    connection, transport = Connection(server), FakeTransport(0)
    connection.connection_made(transport)
    connection.data_received(b"name")
    transport.close()
    server.perform(server.registry.ended(connection, Outcome.SHUTDOWN, server.now()))
    assert transport.ended == "close"
    connection.connection_lost(ConnectionResetError())
    assert server.connections == set()
