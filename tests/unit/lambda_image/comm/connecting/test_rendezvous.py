"""The rank's connection against a server made of the protocol's own server side, both in one event loop."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable

import pytest

from lambda_image.address import Address
from lambda_image.comm.connecting.group_name import group_name
from lambda_image.comm.connecting.racing import Destination
from lambda_image.comm.connecting.rendezvous import RendezvousConnection
from lambda_image.errors import RendezvousRejected, RendezvousTimeout, RendezvousUnreachable
from rendezvous_server.protocol import (
    COMPLETE_FRAME,
    PING_FRAME,
    ClientEvent,
    ConnectionLost,
    Endpoint,
    Expired,
    GroupComplete,
    Join,
    JoinRequested,
    LeaveReceived,
    Peer,
    PeerJoined,
    PeerLeft,
    RejectCode,
    ServerConnection,
    encode_expired,
    encode_left,
    encode_peers,
    encode_row,
)
from tests.unit.lambda_image.comm.black_hole import black_hole

KEY = b"key"
JOIN = Join("run", 1, 3)
SEEN = Endpoint("203.0.113.9", 4321)
Script = Callable[[ServerConnection, asyncio.StreamWriter], Awaitable[None]]


async def nothing_more(connection: ServerConnection, writer: asyncio.StreamWriter) -> None:
    pass


def accepting(script: Script = nothing_more) -> Script:
    async def accept(connection: ServerConnection, writer: asyncio.StreamWriter) -> None:
        connection.accept(60.0, 0.01)
        writer.write(connection.data_to_send())
        await script(connection, writer)

    return accept


class Server:
    """Answers each join by `script`; `left` is set when a rank has said goodbye."""

    def __init__(self, script: Script, port: int = 0) -> None:
        self._script = script
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []
        self.left = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        connection = ServerConnection(KEY, lambda: bytes(16), SEEN)
        while data := await reader.read(1000):
            for event in connection.receive_data(data):
                if isinstance(event, JoinRequested):
                    await self._script(connection, writer)
                elif isinstance(event, LeaveReceived):
                    self.left.set()
            writer.write(connection.data_to_send())

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self.serve, "127.0.0.1", self._port)
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)


def soon() -> float:
    return time.monotonic() + 30


async def events(connection: RendezvousConnection) -> list[ClientEvent]:
    return [event async for event in connection.events()]


def test_a_member_is_told_of_its_peers_until_the_end() -> None:
    row = encode_row(Join("run", 0, 3, local=(Endpoint("10.0.0.1", 9),)), Endpoint("203.0.113.1", 8))

    async def story(connection: ServerConnection, writer: asyncio.StreamWriter) -> None:
        writer.write(
            encode_peers([row]) + COMPLETE_FRAME + PING_FRAME + encode_left([(0, 0)]) + encode_expired([2], "late")
        )

    async def scenario() -> None:
        async with Server(accepting(story)) as address:
            connection = await RendezvousConnection.connect(address, soon())
            assert connection.local.host == "127.0.0.1"
            assert connection.local_port().port == connection.local.port
            assert connection.server == Address.parse(address)
            assert connection.rtt_s > 0
            joined = await connection.join(JOIN, KEY, soon())
            assert joined.observed == SEEN
            peer = Peer(0, 0, Endpoint("203.0.113.1", 8), (Endpoint("10.0.0.1", 9),))
            assert await events(connection) == [
                PeerJoined(peer),
                GroupComplete(),
                PeerLeft(peer),
                Expired((2,), "late"),
            ]
            connection.close()

    asyncio.run(scenario())


def test_leaving_says_goodbye() -> None:
    async def scenario() -> None:
        server = Server(accepting())
        async with server as address:
            connection = await RendezvousConnection.connect(address, soon())
            await connection.join(JOIN, KEY, soon())
            await connection.leave()
            await asyncio.wait_for(server.left.wait(), 30)
            await connection.leave()  # again: nothing happens

    asyncio.run(scenario())


def test_a_connection_that_drops_is_lost() -> None:
    async def drop(connection: ServerConnection, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async def scenario() -> None:
        async with Server(accepting(drop)) as address:
            connection = await RendezvousConnection.connect(address, soon())
            try:
                await connection.join(JOIN, KEY, soon())
            except RendezvousUnreachable:
                return  # the reset has overtaken the answer
            assert await events(connection) == [ConnectionLost()]
            connection.close()

    asyncio.run(scenario())


def test_a_server_that_falls_silent_is_lost() -> None:
    async def scenario() -> None:
        async with Server(accepting()) as address:
            sock = socket.create_connection(Address.parse(address))
            sock.setblocking(False)
            connection = RendezvousConnection(sock, address, smallest_silence_s=0.0)
            await connection.join(JOIN, KEY, soon())
            assert await events(connection) == [ConnectionLost()]
            connection.close()

    asyncio.run(scenario())


def test_nonsense_after_the_join_is_a_loss() -> None:
    async def babble(connection: ServerConnection, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\xff\0\0")

    async def scenario() -> None:
        async with Server(accepting(babble)) as address:
            connection = await RendezvousConnection.connect(address, soon())
            await connection.join(JOIN, KEY, soon())
            assert await events(connection) == [ConnectionLost()]
            connection.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(("code", "later"), [(RejectCode.WORLD_SIZE, False), (RejectCode.LIMIT, True)])
def test_a_rejection_carries_code_reason_and_whether_to_come_again(code: RejectCode, later: bool) -> None:
    async def reject(connection: ServerConnection, writer: asyncio.StreamWriter) -> None:
        connection.reject(code, "not like this")

    async def scenario() -> None:
        async with Server(reject) as address:
            connection = await RendezvousConnection.connect(address, soon())
            with pytest.raises(RendezvousRejected, match=r"rank 1: .* refused the join: not like this") as caught:
                await connection.join(JOIN, KEY, soon())
            assert caught.value.code == code.name
            assert caught.value.retry_later is later
            connection.close()

    asyncio.run(scenario())


def test_no_answer_to_the_join_by_the_deadline() -> None:
    async def scenario() -> None:
        async with Server(nothing_more) as address:
            connection = await RendezvousConnection.connect(address, soon())
            with pytest.raises(RendezvousTimeout, match=r"rank 1: .* did not answer the join by the deadline"):
                await connection.join(JOIN, KEY, time.monotonic())
            connection.close()

    asyncio.run(scenario())


def test_something_else_that_listens_there_is_named() -> None:
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async def scenario() -> None:
        server = await asyncio.start_server(web, "127.0.0.1", 0)
        async with server:
            address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            connection = await RendezvousConnection.connect(address, soon())
            with pytest.raises(RendezvousUnreachable, match=f"{address} .* Is it a rendezvous server?"):
                await connection.join(JOIN, KEY, soon())
            connection.close()

    asyncio.run(scenario())


def test_a_name_that_does_not_exist_is_unreachable() -> None:
    async def scenario() -> None:
        with pytest.raises(RendezvousUnreachable, match=r"server at no\.such\.host\.invalid:1 within") as caught:
            await RendezvousConnection.connect("no.such.host.invalid:1", time.monotonic() + 0.2)
        assert caught.value.endpoint == "no.such.host.invalid:1"

    asyncio.run(scenario())


def test_a_server_that_comes_later_is_found() -> None:
    async def scenario(port: int) -> None:
        connecting = asyncio.create_task(RendezvousConnection.connect(f"127.0.0.1:{port}", soon()))
        await asyncio.sleep(0)
        async with Server(accepting(), port):
            connection = await connecting
            await connection.join(JOIN, KEY, soon())
            connection.close()

    with socket.socket() as nobody:  # else gets the port meanwhile, on which this one does not listen
        nobody.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        nobody.bind(("127.0.0.1", 0))
        asyncio.run(scenario(nobody.getsockname()[1]))


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_an_address_of_the_name_that_drops_packets_does_not_hide_the_next(family: socket.AddressFamily) -> None:
    async def scenario() -> None:
        with black_hole(family) as hole:
            async with Server(accepting()) as address:
                server = Destination(socket.AF_INET, Address.parse(address))

                async def resolve(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
                    assert (host, port) == ("two.addresses.invalid", server.address[1])
                    return [(found.family, socket.SOCK_STREAM, 6, "", found.address) for found in (hole, server)]

                name = f"two.addresses.invalid:{server.address[1]}"
                connection = await RendezvousConnection.connect(name, soon(), resolve=resolve)
                await connection.join(JOIN, KEY, soon())
                connection.close()

    asyncio.run(scenario())


def test_a_refusal_is_told_without_the_secret_of_the_groups_name() -> None:
    name = group_name("run", bytes(32))

    async def refuse(connection: ServerConnection, writer: asyncio.StreamWriter) -> None:
        connection.reject(RejectCode.WORLD_SIZE, f"the group {name!r} was started with 4")

    async def scenario() -> None:
        async with Server(refuse) as address:
            connection = await RendezvousConnection.connect(address, soon())
            with pytest.raises(RendezvousRejected) as caught:
                await connection.join(Join(name, 1, 3), KEY, soon())
            assert caught.value.reason == "the group 'run' was started with 4"
            assert name.rpartition(":")[2] not in str(caught.value)
            connection.close()

    asyncio.run(scenario())
