"""What a rank needs in order to join, and where it is once it has."""

from dataclasses import dataclass, field
from typing import Any

from lambda_image.comm.candidates import Place
from lambda_image.comm.channel import ChannelSettings
from lambda_image.comm.roster import DIAL_LIMIT_S
from lambda_image.comm.sockets import LocalPort
from rendezvous_server.protocol import Join


@dataclass(frozen=True, slots=True)
class Membership:
    endpoint: str  # of the rendezvous server, host:port
    join: Join  # without local endpoints: those are known once there is a way to the server
    run_key: bytes = field(repr=False)
    rendezvous_key: bytes | None = field(repr=False)
    deadline: float  # monotonic seconds, for the join
    settings: ChannelSettings
    dial_limit_s: float = DIAL_LIMIT_S


@dataclass(frozen=True, slots=True)
class Site:
    """From where peers are dialled, and how."""

    place: Place
    port: LocalPort
    server: tuple[Any, ...]  # the address that the line to the rendezvous is connected to
    rtt_s: float  # to there
