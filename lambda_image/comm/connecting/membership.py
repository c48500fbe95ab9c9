"""What a rank needs in order to join a group, and from where it dials its peers then."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lambda_image.comm.channel.channel import ChannelSettings
from lambda_image.comm.connecting.candidates import OwnEndpoints
from lambda_image.comm.connecting.sockets import LocalPort
from lambda_image.comm.roster import DIAL_LIMIT_S
from rendezvous_server.protocol import Join


@dataclass(frozen=True, slots=True)
class Membership:
    """What a rank needs in order to join a group."""

    endpoint: str  # of the rendezvous server, host:port
    join: Join  # without local endpoints: those are known once there is a way to the server
    run_key: bytes = field(repr=False)
    rendezvous_key: bytes | None = field(repr=False)
    deadline: float  # monotonic seconds, for the join
    settings: ChannelSettings
    dial_limit_s: float = DIAL_LIMIT_S
    names: Sequence[int] | None = None  # what texts call the ranks, by rank, where they are members of a larger group

    def name(self, rank: int) -> int:
        """What texts call a rank."""
        return rank if self.names is None else self.names[rank]


@dataclass(frozen=True, slots=True)
class DialSource:
    """From where a rank dials its peers."""

    own: OwnEndpoints
    port: LocalPort
    server: tuple[Any, ...]  # the address that the connection to the rendezvous is connected to
    rtt_s: float  # to there
