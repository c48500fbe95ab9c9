"""Which connection the higher rank of a pair takes, and what it lets go."""

import asyncio
import os
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from lambda_image.comm.channel.channel import Channel, ChannelSettings
from lambda_image.comm.channel.handshake import Handshake, Member
from lambda_image.comm.channel.transport import Transport
from lambda_image.comm.connecting.introduction import Credentials, introduce
from lambda_image.comm.connecting.membership import Membership
from lambda_image.comm.connecting.peering import Peering
from lambda_image.comm.roster import Roster
from rendezvous_server.protocol import Join

KEY = os.urandom(32)
LOWER, HIGHER = Member(0, 1), Member(1, 0)
DIRECT, PUNCHED, RELAYED = Transport


def connection() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ends = socket.create_connection(listener.getsockname()), listener.accept()[0]
    for end in ends:
        end.setblocking(False)
    return ends


class Higher:
    """Rank 1 of 2 and what it knows; `connect` gives it a connection that rank 0 has dialled, and returns rank 0's."""

    def __init__(self) -> None:
        self.roster = Roster()
        self.peering = Peering(Membership("", Join("run", 1, 2), KEY, None, 0.0, ChannelSettings()), self.roster)
        self.socks: list[socket.socket] = []

    async def connect(self, lower: Credentials, transport: Transport = DIRECT) -> bool:
        """Whether it became the channel."""
        one, other = connection()
        self.socks.append(one)
        welcome = asyncio.create_task(self.peering._welcome(other))

        async def unasked(_: Handshake) -> bool:
            raise AssertionError

        try:
            await introduce(one, lower.handshake((transport, HIGHER)), unasked)
        except Exception:
            return False
        finally:
            await welcome
        return True

    @property
    def channel(self) -> Channel | None:
        peer = self.roster.at(0)
        return peer and peer.channel


@pytest.fixture
def higher() -> Iterator[Higher]:
    made = Higher()
    yield made
    channels = [peer.channel for peer in made.roster.all() if peer.channel is not None]
    for each in (*made.socks, *channels, *made.roster.former_channels()):
        each.close()


def credentials(member: Member = LOWER) -> Credentials:
    return Credentials(member, KEY, encrypted=True)


def test_one_that_works_is_kept_and_a_second_one_refused(higher: Higher) -> None:
    async def scenario() -> None:
        lower = credentials()
        assert await higher.connect(lower, PUNCHED)
        first = higher.channel
        assert first is not None
        assert first.transport == "punched"
        assert not await higher.connect(lower)
        assert higher.channel is first
        assert first.ended is None
        assert higher.peering.rejected == 0

    asyncio.run(scenario())


def test_where_the_peer_has_closed_the_first_a_second_one_takes_its_place(higher: Higher) -> None:
    async def scenario() -> None:
        lower = credentials()
        assert await higher.connect(lower)
        first = higher.channel
        assert higher.peering.is_linked(LOWER)
        higher.socks[0].close()
        assert not higher.peering.is_linked(LOWER)
        assert await higher.connect(lower)
        assert higher.channel is not first
        assert higher.peering.is_linked(LOWER)

    asyncio.run(scenario())


def test_where_this_side_has_ended_the_first_a_second_one_takes_its_place(higher: Higher) -> None:
    async def scenario() -> None:
        lower = credentials()
        assert await higher.connect(lower)
        first = higher.channel
        assert first is not None
        first.end("given up")
        assert await higher.connect(lower)

    asyncio.run(scenario())


@pytest.mark.parametrize("attempt", [1, 2], ids=["the same attempt", "a newer attempt"])
def test_another_process_takes_the_place_even_if_the_first_seems_to_live(higher: Higher, attempt: int) -> None:
    async def scenario() -> None:
        assert await higher.connect(credentials())
        assert await higher.connect(credentials(Member(0, attempt)))
        assert higher.channel is not None
        assert higher.channel.peer.attempt == attempt
        (former,) = higher.roster.former_channels()
        former.close()

    asyncio.run(scenario())


def test_an_older_attempt_comes_too_late(higher: Higher) -> None:
    async def scenario() -> None:
        higher.roster.joined(Member(0, 2), 0.0)
        assert not await higher.connect(credentials())
        assert higher.channel is None

    asyncio.run(scenario())


def test_who_does_not_hold_the_key_is_counted(higher: Higher) -> None:
    async def scenario() -> None:
        assert not await higher.connect(Credentials(LOWER, bytes(32), encrypted=True))
        assert higher.peering.rejected == 1
        assert higher.channel is None

    asyncio.run(scenario())


def test_a_lower_rank_does_not_take_one_of_another_world() -> None:
    async def scenario() -> None:
        roster = Roster()
        lower = Peering(Membership("", Join("run", 0, 2), KEY, None, 0.0, ChannelSettings()), roster)
        one, other = connection()
        stray = credentials(Member(7, 0))

        async def always(_: Handshake) -> bool:
            return True

        await asyncio.gather(lower._welcome(one), introduce(other, stray.handshake((DIRECT, Member(0, 0))), always))
        assert (roster.all(), lower.rejected) == ([], 1)
        assert other.recv(1) == b""
        other.close()

    asyncio.run(scenario())


def talk(peer: Member, transport: Transport | None, wanted: int = 1) -> Handshake:
    return cast(Handshake, _Talk(peer=peer, transport=transport, wanted=wanted, peer_process=b""))


class _Talk(SimpleNamespace):
    __hash__ = object.__hash__


@pytest.mark.parametrize(
    ("other", "waits"),
    [
        (talk(LOWER, PUNCHED), True),
        (talk(LOWER, DIRECT), True),
        (talk(LOWER, RELAYED), False),
        (talk(LOWER, None), False),  # connected, but nobody has greeted yet
        (talk(Member(3, 0), DIRECT), False),
    ],
    ids=["punched", "direct", "relayed", "silent", "another peer"],
)
def test_a_relay_waits_for_a_better_way_that_is_on_its_way(higher: Higher, other: Handshake, waits: bool) -> None:
    async def scenario() -> None:
        higher.peering._talks.add(other)
        choice = asyncio.create_task(higher.peering._chosen(talk(LOWER, RELAYED, wanted=0)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert choice.done() is not waits
        higher.peering._talks.clear()
        assert await choice

    asyncio.run(scenario())
