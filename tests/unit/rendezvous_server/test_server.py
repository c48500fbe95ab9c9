"""How the registry's wishes are carried out, by connections that note what they are told to do."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from rendezvous_server.connection import Connection
from rendezvous_server.effects import Accept, Close, Confirm, Outcome, Reject, Send
from rendezvous_server.limits import Limits
from rendezvous_server.log import Log
from rendezvous_server.protocol import Endpoint, RejectCode
from rendezvous_server.server import RendezvousServer
from rendezvous_server.settings import ServerSettings


class Told:
    """A connection that does nothing else than note what it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *given: self.heard.append((name, *given))


def on_a_loop(story: Callable[[RendezvousServer], Awaitable[None]]) -> list[bytes]:
    """Run a story with a server that listens nowhere. What it logged is returned."""
    written: list[bytes] = []

    async def main() -> None:
        log = Log(written.append, asyncio.get_running_loop())
        await story(RendezvousServer(ServerSettings(limits=Limits()), log))
        log.close()

    asyncio.run(main())
    return written


def test_each_effect_reaches_its_connections_in_order() -> None:
    async def story(server: RendezvousServer) -> None:
        one, two = Told(), Told()
        first, second = cast(Connection, one), cast(Connection, two)
        refused = Reject(first, RejectCode.LIMIT, "why", Outcome.SHUTDOWN)
        server.perform(
            [
                Accept(first, 2.5, Endpoint("192.0.2.1", 1)),
                Send([first, second], b"news"),
                Confirm(second),
                refused,
                Close([second], Outcome.SHUTDOWN, abort=True),
            ]
        )
        assert one.heard == [("accept", 2.5, Endpoint("192.0.2.1", 1)), ("write", b"news"), ("reject", refused)]
        assert two.heard == [("write", b"news"), ("confirm",), ("finish", Outcome.SHUTDOWN, True)]

    on_a_loop(story)


def test_an_end_is_counted_under_its_dialect_and_outcome() -> None:
    async def story(server: RendezvousServer) -> None:
        connections = [cast(Connection, Told()) for _ in range(3)]
        server.connections |= set(connections)
        for connection, dialect in zip(connections, ("group", "group", None), strict=True):
            server.forget(connection, dialect, Outcome.SHUTDOWN)
        finished = server.snapshot().counts.finished
        assert finished["group", Outcome.SHUTDOWN] == 2
        assert finished["none", Outcome.SHUTDOWN] == 1
        assert server.snapshot().connections == 0

    on_a_loop(story)


def test_a_snapshot_is_of_its_moment() -> None:
    async def story(server: RendezvousServer) -> None:
        before = server.snapshot()
        server.registry.counts.groups_expired += 1
        assert before.counts.groups_expired == 0
        assert server.snapshot().counts.groups_expired == 1
        assert not before.draining

    on_a_loop(story)


def test_a_server_without_connections_ends_at_once_and_says_so() -> None:
    async def story(server: RendezvousServer) -> None:
        await asyncio.wait_for(server.shut_down(), 5)
        assert server.snapshot().draining

    lines = b"".join(on_a_loop(story)).splitlines()
    assert [line[:21] for line in lines] == [b'{"event": "closing", ', b'{"event": "closed"}']


def test_a_server_that_ends_waits_for_its_last_connection() -> None:
    async def story(server: RendezvousServer) -> None:
        last = cast(Connection, Told())
        server.connections.add(last)
        ending = asyncio.create_task(server.shut_down())
        await asyncio.sleep(0)
        assert not ending.done()
        server.forget(last, "group", Outcome.SHUTDOWN)
        await asyncio.wait_for(ending, 5)

    on_a_loop(story)
