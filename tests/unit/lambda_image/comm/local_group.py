"""Groups of ranks in one process: real channels over socket pairs, no server, a thread per rank."""

import itertools
import os
import select
import socket
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lambda_image.comm.channel.channel import Channel, ChannelSettings
from lambda_image.comm.channel.frames import Frame
from lambda_image.comm.channel.handshake import KEY_BYTES, Handshake, Member, Session
from lambda_image.comm.channel.memory import Memory
from lambda_image.comm.channel.sealing import Sealing
from lambda_image.comm.channel.signals import Flag, Kind
from lambda_image.comm.channel.transport import Transport
from lambda_image.comm.operations.cost_model import Algorithm
from lambda_image.comm.operations.exchange import Exchange
from lambda_image.comm.operations.group_context import GroupContext
from lambda_image.comm.operations.wakeup import Wakeup
from lambda_image.comm.roster import Roster

RUN_KEY = b"r" * KEY_BYTES
RANK_0, RANK_1 = Member(0, 0), Member(1, 0)
LARGE = 8 << 20  # more than socket buffers hold
HANGING_S = 30.0  # which only a test that hangs reaches


Change = Callable[[Handshake, bytes], bytes]


def converse(higher: Handshake, lower: Handshake, change: Change = lambda sender, message: message) -> None:
    """Everything that the two have to say to each other, to the nomination, each message as `change` passes it on."""
    ends = ((higher, lower), (lower, higher))
    said = {one: bytearray(change(one, one.greet()) if one.dials else b"") for one, _ in ends}
    while higher.wanted or lower.wanted:
        before = higher.wanted, lower.wanted, *map(len, said.values())
        for one, other in ends:
            if one.wanted and len(said[other]) >= one.wanted:
                heard = bytes(said[other][: one.wanted])
                del said[other][: len(heard)]
                if answer := one.feed(heard):
                    said[one] += change(one, answer)
        if not higher.wanted and higher.session is None:
            said[higher] += change(higher, higher.nominate())
        assert (higher.wanted, lower.wanted, *map(len, said.values())) != before, "both wait"


def sessions(lower: Member, higher: Member, *, encrypted: bool = True) -> tuple[Session, Session]:
    """What a handshake between the two leaves at each."""
    key = os.urandom(32)
    way = (Transport.DIRECT, lower)
    one = Handshake(key, higher, way=way, encrypted=encrypted, probe=False, nonce=os.urandom(32))
    other = Handshake(key, lower, way=None, encrypted=encrypted, probe=False, nonce=os.urandom(32))
    converse(one, other)
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
        encrypted: bool = True,
        settings: ChannelSettings | None = None,
        sealings: tuple[Sealing | None, Sealing | None] = (None, None),
        sockets: tuple[socket.socket, socket.socket] | None = None,
        memory: Memory | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sockets = sockets or socket.socketpair()
        agreed = sessions(lower, higher, encrypted=encrypted)
        ends = zip(self.sockets, agreed, (lower, higher), sealings, strict=True)
        self.lower, self.higher = (
            Channel(sock, session, own, settings=settings, memory=memory, sealing=sealing, clock=clock)
            for sock, session, own, sealing in ends
        )


class RankInThread(GroupContext):
    """One rank of a local group, which a test may make take another algorithm than the cost model's."""

    def __init__(self, rank: int, world_size: int) -> None:
        wakeup = Wakeup()
        super().__init__(rank, world_size, Roster(changed=wakeup.notify), wakeup)
        self.begin(Member(rank, 0))
        self.forced: Algorithm | None = None  # taken where it can be done

    def begin(self, member: Member) -> None:
        """As this attempt."""
        self.roster.sealing = Sealing(RUN_KEY, member, self.memory)

    def choose(
        self,
        kind: Kind,
        size: int,
        *,
        associative: bool = True,
        divisible: bool = False,
        processors: int | None = None,
    ) -> Algorithm:
        if self.forced is None or not associative or (self.forced is Algorithm.PIECES and not (divisible and size)):
            return super().choose(kind, size, associative=associative, divisible=divisible, processors=processors)
        return self.forced


class LocalGroup:
    """`world_size` ranks, every pair connected; `run` calls a function for each rank in a thread of its own."""

    def __init__(
        self,
        world_size: int,
        absent: Collection[int] = (),
        socketpair: Callable[[], tuple[socket.socket, socket.socket]] = socket.socketpair,
    ) -> None:
        self._socketpair = socketpair
        self.ranks = [RankInThread(rank, world_size) for rank in range(world_size)]
        self._killed: set[int] = set()
        present = [rank for rank in range(world_size) if rank not in absent]
        for lower, higher in itertools.combinations(present, 2):
            self.connect(Member(lower, 0), Member(higher, 0))
        self._present = present

    def admit(self, member: Member) -> None:
        """One of those that were absent comes."""
        self.ranks[member.rank].begin(member)
        for other in self._present:
            if other not in self._killed:
                self.connect(*sorted((Member(other, 0), member), key=lambda one: one.rank))
        self._present.append(member.rank)

    def kill(self, rank: int, in_a_frame: tuple[int, int] | None = None) -> None:
        """Close its sockets as the end of its process would; `in_a_frame`: in which operation, of how many bytes."""
        self._killed.add(rank)
        for peer in self.ranks[rank].roster.all():
            assert peer.channel is not None
            if in_a_frame is not None:
                operation, size = in_a_frame
                peer.channel.push(operation, int(Kind.ALLREDUCE), 0, bytes(size))
                peer.channel.pump_out()
            peer.channel.end("was killed")

    def connect(self, lower: Member, higher: Member) -> Pair:
        pair = Pair(
            lower,
            higher,
            sealings=(self.ranks[lower.rank].roster.sealing, self.ranks[higher.rank].roster.sealing),
            sockets=self._socketpair(),
        )
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
            rank.close()


def put(channel: Channel, value: bytes, operation: int = 1, kind: Kind = Kind.GATHER, flags: Flag = Flag.NONE) -> None:
    """What a peer that runs `kind` as its operation number `operation` sends."""
    channel.push(operation, kind, flags, value)
    channel.pump_out()


def finish(channel: Channel) -> None:
    """Send all of what is queued, while somebody reads it."""
    while channel.sending:
        select.select((), (channel,), (), HANGING_S)
        channel.pump_out()


def came(channel: Channel) -> Frame | None:
    """What has come to a peer."""
    channel.pump_in()
    return channel.frames[0] if channel.frames else None


def awaited(channel: Channel) -> Frame:
    """What comes to a peer next."""
    while (frame := came(channel)) is None:
        assert select.select((channel,), (), (), HANGING_S)[0]
    return frame


def gathering(group: LocalGroup, deadline: float, *peers: int, abort_to: tuple[int, ...] = ()) -> Exchange:
    """Rank 0's part in a gather of the parts of these."""
    exchange = group.ranks[0].exchange(Kind.GATHER, deadline, abort_to=abort_to)
    for peer in peers:
        exchange.receive(peer)
    return exchange


MakePair = Callable[..., Pair]
MakeGroup = Callable[[int], LocalGroup]
OpenSockets = Callable[[], set[str]]
Soon = Callable[[], float]
