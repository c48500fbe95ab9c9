"""How the thread in the background takes what the rendezvous tells it."""

import asyncio
import os
import time

import pytest

from lambda_image.comm.channel.channel import ChannelSettings
from lambda_image.comm.channel.handshake import Member
from lambda_image.comm.connecting.backoff import Backoff
from lambda_image.comm.connecting.connector import MAX_LISTED, Connector, _failure
from lambda_image.comm.connecting.membership import Membership
from lambda_image.comm.roster import Roster
from lambda_image.errors import RendezvousRejected, RendezvousTimeout, RendezvousUnreachable, RunError
from rendezvous_server.protocol import (
    ClientEvent,
    ConnectionLost,
    Endpoint,
    Expired,
    GroupComplete,
    Join,
    JoinRequested,
    RejectCode,
    Rejected,
    Replaced,
    ServerClosing,
    ServerConnection,
)

OWN = Member(2, 1)
SERVER = "rendezvous:10000"


@pytest.mark.parametrize(
    ("event", "kind", "words"),
    [
        (Expired((1, 3), "60 s have passed"), RendezvousTimeout, "ranks 1, 3 missing: 60 s have passed"),
        (Expired((4,), "late"), RendezvousTimeout, "rank 4 missing: late"),
        (Replaced(2, ""), RendezvousRejected, "attempt 2 of this rank has taken its place"),
        (Rejected(RejectCode.TIMEOUT, "no sign of life"), RendezvousRejected, "ended the membership: no sign of life"),
        (ServerClosing("maintenance"), RendezvousUnreachable, "has shut down: maintenance"),
        (ConnectionLost(), RendezvousUnreachable, "was lost"),
    ],
)
def test_every_end_of_the_news_is_an_error_that_says_why(event: ClientEvent, kind: type[RunError], words: str) -> None:
    error = _failure(event, OWN, SERVER)
    assert type(error) is kind
    assert str(error).startswith("rank 2 (attempt 1): ")
    assert words in str(error)
    assert (error.rank, error.endpoint) == (2, SERVER)


def test_other_news_are_no_end() -> None:
    assert _failure(GroupComplete(), OWN, SERVER) is None


def test_a_long_list_of_missing_ranks_is_cut_in_words_only() -> None:
    error = _failure(Expired(tuple(range(5000)), "late"), OWN, SERVER)
    assert error is not None
    assert f"{MAX_LISTED - 1}, ... missing" in str(error)
    assert len(str(error)) < 300
    assert isinstance(error, RendezvousTimeout)
    assert error.missing == tuple(range(5000))


Verdict = RejectCode | None  # None: accepted


class Server:
    """Gives its verdict on each join in turn, as the protocol's server side has it; `drop` ends all connections."""

    def __init__(self, *verdicts: Verdict) -> None:
        self._verdicts = list(verdicts)
        self._writers: list[asyncio.StreamWriter] = []
        self.local: list[tuple[Endpoint, ...]] = []  # where each that joined is, as it says
        self.answered = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        connection = ServerConnection(None, lambda: bytes(16), Endpoint("127.0.0.1", 1))
        while data := await reader.read(1000):
            for event in connection.receive_data(data):
                if isinstance(event, JoinRequested):
                    verdict = self._verdicts.pop(0)
                    self.local.append(event.join.local)
                    connection.accept(60.0, 10.0) if verdict is None else connection.reject(verdict, "not like this")
            writer.write(connection.data_to_send())
            if self.local:
                self.answered.set()

    def drop(self) -> None:
        for writer in self._writers:
            writer.close()
        self._writers.clear()


def rejoining(*verdicts: Verdict) -> list[RunError | None]:
    """The failures that a rank's roster has, one after the other, when its line breaks and it then meets with these."""
    failures: list[RunError | None] = [None]

    async def scenario() -> Roster:
        server, loop, ended = Server(None, *verdicts), asyncio.get_running_loop(), asyncio.Event()

        def changed() -> None:  # in the connector's thread
            failures.append(roster.failure)
            if len(failures) == 3:
                loop.call_soon_threadsafe(ended.set)

        roster = Roster(changed=changed)
        async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
            address = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
            join = Join("run", OWN.rank, 3, OWN.attempt)
            membership = Membership(address, join, os.urandom(32), None, time.monotonic() + 30, ChannelSettings())
            connector = Connector(membership, roster, rejoin_backoff=Backoff(first_s=0.001, longest_s=0.001))
            connector.start()
            await server.answered.wait()
            server.drop()
            await asyncio.wait_for(ended.wait(), 30)
            assert (connector.local != server.local[0]) == (failures[-1] is None)
            connector.stop()
            server.drop()
            return roster

    roster = asyncio.run(scenario())
    assert roster.failure is failures[-1]
    assert (roster.dismissed is not None) == (verdicts[-1] is RejectCode.STALE_ATTEMPT)
    return failures


@pytest.mark.parametrize("before", [None, RejectCode.DUPLICATE_RANK, RejectCode.LIMIT])
def test_a_line_that_breaks_is_made_anew_even_if_the_server_has_not_noticed(before: Verdict) -> None:
    start, broken, now = rejoining(*([before] if before else []), None)
    assert isinstance(broken, RendezvousUnreachable)
    assert start is now is None


@pytest.mark.parametrize("verdict", [RejectCode.BAD_PROOF, RejectCode.STALE_ATTEMPT])
def test_a_refusal_for_good_ends_the_tries(verdict: RejectCode) -> None:
    _, broken, now = rejoining(verdict)
    assert isinstance(broken, RendezvousUnreachable)
    assert isinstance(now, RendezvousRejected)
    assert now.code == verdict.name
