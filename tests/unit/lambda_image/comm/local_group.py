"""Groups of ranks in one process: real channels over socket pairs, no server, a thread per rank."""

import itertools
import os
import socket
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lambda_image.comm.channel import Channel, ChannelSettings
from lambda_image.comm.exchange import Exchange
from lambda_image.comm.handshake import Handshake, Member, Session
from lambda_image.comm.roster import Roster
from lambda_image.comm.signals import Kind
from lambda_image.comm.wakeup import Wakeup

RANK_0, RANK_1 = Member(0, 0), Member(1, 0)


def sessions(lower: Member, higher: Member, *, tags: bool = True) -> tuple[Session, Session]:
    """What a handshake between the two leaves at each."""
    key = os.urandom(32)
    one = Handshake(key, higher, opens=True, peer=lower, tags=tags, nonce=os.urandom(32))
    other = Handshake(key, lower, opens=False, peer=None, tags=tags, nonce=os.urandom(32))
    one.feed(other.feed(one.hello()))
    other.feed(one.prove())
    assert one.session is not None
    assert other.session is not None
    return other.session, one.session


class Pair:
    """A channel's two ends: `lower` is rank 0's or that of the lower member given, `sockets` what lies under them."""

    def __init__(
        self,
        lower: Member = RANK_0,
        higher: Member = RANK_1,
        *,
        tags: bool = True,
        settings: ChannelSettings | None = None,
    ) -> None:
        self.sockets = socket.socketpair()
        ends = zip(self.sockets, sessions(lower, higher, tags=tags), (lower, higher), strict=True)
        self.lower, self.higher = (Channel(sock, session, own, settings=settings) for sock, session, own in ends)


class RankInThread:
    """One rank of a local group: what collectives.Group asks for, and the roster behind it."""

    def __init__(self, rank: int, world_size: int) -> None:
        self.rank = rank
        self.world_size = world_size
        self.wakeup = Wakeup()
        self.roster = Roster(changed=self.wakeup.notify)
        self.operation = 0

    def exchange(self, kind: Kind, deadline: float, *, tell: Iterable[int] = ()) -> Exchange:
        self.operation += kind is not Kind.SEND
        return Exchange(
            self.roster,
            self.wakeup,
            rank=self.rank,
            operation=self.operation,
            kind=kind,
            deadline=deadline,
            tell=tell,
        )


class LocalGroup:
    """`world_size` ranks, every pair connected; `run` calls a function for each rank in a thread of its own."""

    def __init__(self, world_size: int) -> None:
        self.ranks = [RankInThread(rank, world_size) for rank in range(world_size)]
        for lower, higher in itertools.combinations(range(world_size), 2):
            self.connect(Member(lower, 0), Member(higher, 0))

    def connect(self, lower: Member, higher: Member) -> Pair:
        pair = Pair(lower, higher)
        for rank, channel in ((lower.rank, pair.lower), (higher.rank, pair.higher)):
            self.ranks[rank].roster.connected(channel, time.monotonic())
        return pair

    def channel(self, rank: int, peer: int) -> Channel:
        """`rank`'s end of its channel to `peer`."""
        entry = self.ranks[rank].roster.at(peer)
        assert entry is not None
        assert entry.channel is not None
        return entry.channel

    def run(self, work: Callable[[RankInThread], object], ranks: Iterable[int] | None = None) -> list[Any]:
        """What `work` returned or raised, by rank."""

        def outcome(rank: RankInThread) -> object:
            try:
                return work(rank)
            except Exception as error:
                return error

        chosen = [self.ranks[rank] for rank in (range(len(self.ranks)) if ranks is None else ranks)]
        with ThreadPoolExecutor(len(chosen)) as pool:
            return list(pool.map(outcome, chosen))

    def close(self) -> None:
        for rank in self.ranks:
            current = [peer.channel for peer in rank.roster.all() if peer.channel is not None]
            for channel in (*current, *rank.roster.former_channels()):
                channel.close()
            rank.wakeup.close()


MakePair = Callable[..., Pair]
MakeGroup = Callable[[int], LocalGroup]
Soon = Callable[[], float]
