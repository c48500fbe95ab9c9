"""What a communicator tells its user of a peer."""

from dataclasses import dataclass
from typing import Self

from lambda_image.comm.roster import PeerState


@dataclass(frozen=True, slots=True)
class PeerFacts:
    """Says how one peer is, or was, connected.

    Attributes:
        rank: The peer's rank.
        attempt: Which attempt of that rank it is, counted from 0.
        transport: The name of a Transport, or None without a channel.
        connect_s: Seconds from learning of the peer until its channel was proven, or None without a channel.
        bytes_sent: Bytes to the peer, frames and tags included.
        bytes_received: Bytes from the peer, frames and tags included.
        lost: Why the peer can no longer be used, or None if it can.
    """

    rank: int
    attempt: int
    transport: str | None
    connect_s: float | None
    bytes_sent: int
    bytes_received: int
    lost: str | None

    @classmethod
    def of(cls, peer: PeerState) -> Self:
        """Take the facts from the roster's entry of a peer.

        Args:
            peer: The entry.

        Returns:
            The facts at this moment.
        """
        channel = peer.channel
        lost = peer.gone or peer.unreachable or (channel.ended if channel else None)
        rank, attempt = peer.member.rank, peer.member.attempt
        if channel is None:
            return cls(rank, attempt, None, None, 0, 0, lost)
        sent, received = channel.bytes_sent, channel.bytes_received
        return cls(rank, attempt, str(channel.transport), channel.connect_s, sent, received, lost)
