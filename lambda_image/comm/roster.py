"""The table of peers that both threads of a communicator share, and what one who waits for a peer can expect.

The background thread writes (`joined`, `left`, `connected`, ...), the caller's thread reads (`at`, `outlook`).
`changed` is called after every change. `outlook` is pure: facts and `now` in, what to expect out.
"""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from lambda_image.comm.channel.channel import Channel
from lambda_image.comm.channel.handshake import Member
from lambda_image.comm.channel.memory import Memory
from lambda_image.comm.channel.sealing import Sealing
from lambda_image.errors import CommunicationError, PeerClosed, PeerUnreachable, RendezvousError

# Seconds from the peer's joining until a channel must be there. A handshake takes milliseconds, but seconds pass when a
# host starts many ranks at once. The dialling side gives up first, since it knows why.
DIAL_LIMIT_S = 10.0
AWAIT_LIMIT_S = 20.0
# Seconds without a byte until a peer that is gone from the rendezvous is given up. This is for hosts that vanished,
# since on a live host the sockets of a process that died end at once. Two retransmissions fit.
SILENCE_AFTER_LEAVING_S = 2.0
# The same in seconds for a peer without a channel, since one may be about to be accepted.
CHANNEL_AFTER_LEAVING_S = 0.25


@dataclass(slots=True, eq=False)
class PeerState:
    """What is known of one attempt of one rank. A newer attempt gets a PeerState of its own."""

    member: Member
    joined_at: float  # monotonic seconds, when this rank learnt of it
    channel: Channel | None = None
    unreachable: str | None = None  # why no candidate led to it
    gone: str | None = None  # why it is not in the group any more
    gone_at: float = math.inf


@dataclass(frozen=True, slots=True)
class Ready:
    """The peer has a channel that can be used."""

    channel: Channel
    until: float  # when to look again though nothing has changed


@dataclass(frozen=True, slots=True)
class Waiting:
    """The peer may still come, or connect."""

    until: float


@dataclass(frozen=True, slots=True)
class Lost:
    """The peer cannot be used any more."""

    kind: type[CommunicationError]
    reason: str
    cause: RendezvousError | None = None


def outlook(peer: PeerState | None, failure: RendezvousError | None, now: float) -> Ready | Waiting | Lost:
    """Tell what one who waits for this peer can expect. `failure` is why the rendezvous announces nobody any more."""
    if peer is None:
        return Waiting(math.inf) if failure is None else Lost(type(failure), f"is not known: {failure}", failure)
    channel = peer.channel
    if channel is not None:
        if channel.ended is not None:
            # The rendezvous knows the better reason, once it has spoken.
            return Lost(PeerClosed, channel.ended if peer.gone is None else f"{channel.ended}; it {peer.gone}")
        if peer.gone is None:
            return Ready(channel, math.inf)
        until = max(peer.gone_at, channel.moved_at) + SILENCE_AFTER_LEAVING_S
        return Ready(channel, until) if now < until else Lost(PeerClosed, peer.gone)
    if peer.gone is not None:
        until = peer.gone_at + CHANNEL_AFTER_LEAVING_S
        return Waiting(until) if now < until else Lost(PeerClosed, peer.gone)
    if peer.unreachable is not None:
        return Lost(PeerUnreachable, peer.unreachable)
    until = peer.joined_at + AWAIT_LIMIT_S
    reason = f"joined but no connection was made within {AWAIT_LIMIT_S:.0f} s"
    return Waiting(until) if now < until else Lost(PeerUnreachable, reason)


@dataclass(slots=True)
class Roster:
    """The table of peers. The background thread writes it, and the caller's thread reads it."""

    changed: Callable[[], None] = lambda: None
    failure: RendezvousError | None = None  # why no more news come; peers that are known stay
    dismissed: RendezvousError | None = None  # this very rank is not part of the group any more
    memory: Memory = field(default_factory=Memory)  # that all channels share; the caller's thread takes of it
    sealing: Sealing | None = None  # that all channels share, too; without it nothing is sealed
    excused: dict[int, str] = field(default_factory=dict)  # ranks that will send nothing more, and how that is known
    cramped: str | None = None  # why this rank could not take every connection
    _peers: dict[int, PeerState] = field(default_factory=dict)
    former: list[Channel] = field(default_factory=list)  # of peers that were replaced, still to be closed
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def at(self, rank: int) -> PeerState | None:
        return self._peers.get(rank)  # one step of a dict: needs no lock

    def all(self) -> list[PeerState]:
        with self._lock:
            return sorted(self._peers.values(), key=lambda peer: peer.member.rank)

    def joined(self, member: Member, now: float) -> bool:
        """Note that a member was announced. Returns whether it has no channel yet.

        An attempt is announced again if its connection to the rendezvous broke. It keeps a channel that works.
        """
        with self._lock:
            known = self._peers.get(member.rank)
            if known is not None and known.member == member and known.channel is not None and not known.channel.ended:
                known.gone, known.gone_at = None, math.inf
            elif known is None or member.attempt >= known.member.attempt:
                self._place(PeerState(member, now), now)
            channel = self._peers[member.rank].channel
        self.changed()
        return channel is None

    def left(self, member: Member, reason: str, now: float) -> None:
        with self._lock:
            known = self._peers.get(member.rank)
            if known is not None and known.member == member and known.gone is None:
                known.gone, known.gone_at = reason, now
        self.changed()

    def connected(self, channel: Channel, now: float) -> bool:
        """Note a channel that has proven itself. Returns False if a newer attempt of its rank is known.

        A second channel replaces the first, since it is made only where the first is broken (see peering.py).
        """
        with self._lock:
            known = self._peers.get(channel.peer.rank)
            if known is not None and known.member.attempt > channel.peer.attempt:
                return False
            if known is None or known.member != channel.peer or known.channel is not None:
                known = PeerState(channel.peer, now)
                self._place(known, now)
            known.channel, known.unreachable = channel, None
        self.changed()
        return True

    def unreachable(self, member: Member, reason: str) -> None:
        with self._lock:
            known = self._peers.get(member.rank)
            if known is not None and known.member == member and known.channel is None:
                known.unreachable = reason
        self.changed()

    def excuse(self, rank: int, reason: str) -> None:
        """Note, from elsewhere than the group, that a rank will send nothing more. What it has sent still counts."""
        with self._lock:
            self.excused = {**self.excused, rank: reason}
        self.changed()

    def cramp(self, reason: str) -> None:
        """Note that there was no room for a connection; what could not connect in time is then put down to it."""
        self.cramped = reason

    def fail(self, error: RendezvousError, *, dismissed: bool = False) -> None:
        """Note why no news come at present. The last reason counts, but a dismissal is final."""
        with self._lock:
            self.dismissed = self.dismissed or (error if dismissed else None)
            self.failure = self.dismissed or error
        self.changed()

    def recovered(self) -> None:
        """Note that there are news again."""
        with self._lock:
            self.failure = self.dismissed
        self.changed()

    def former_channels(self) -> list[Channel]:
        """Hand out the channels of replaced peers, which the caller's thread closes."""
        with self._lock:
            former, self.former = self.former, []
            return former

    def _place(self, peer: PeerState, now: float) -> None:
        former = self._peers.get(peer.member.rank)
        if former is not None:
            if former.gone is None:
                former.gone, former.gone_at = f"was replaced (attempt {peer.member.attempt})", now
            if former.channel is not None:
                self.former.append(former.channel)
        self._peers[peer.member.rank] = peer
