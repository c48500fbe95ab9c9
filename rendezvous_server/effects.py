"""What the registry asks its caller to do, and how connections end."""

from collections.abc import Collection, Hashable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from rendezvous_server.protocol import Endpoint, RejectCode

ConnT = TypeVar("ConnT", bound=Hashable)  # a connection: anything that the caller can send to


class Outcome(StrEnum):
    """How a connection ended: the closed vocabulary of the log and the metrics."""

    PAIRED = "paired"  # has its partner's address
    LEFT = "left"  # a member said goodbye
    LOST = "lost"  # a member's or a relay's connection dropped, or that of the relay's other end
    REPLACED = "replaced"  # by a newer attempt of the same rank, or by its newer wish for the same relay
    RELAYED = "relayed"  # carried bytes until both ranks had ended
    PROBED = "probed"  # a NAT probe has its answer
    REJECTED = "rejected"  # a request refused with a code
    EXPIRED = "expired"  # the partner, or the rest of the group, did not come in time
    TIMEOUT = "timeout"  # silent after connecting, no answer to pings, or a relay without a byte for too long
    MALFORMED = "malformed"  # bytes that mean nothing, or a request that its dialect cannot answer
    SLOW = "slow"  # does not read what it is sent
    LIMITED = "limited"  # too many connections, in total or from its address, or too many bytes through a relay
    GONE = "gone"  # closed without having asked for anything: a health check
    ABANDONED = "abandoned"  # closed while it waited for its partner
    SHUTDOWN = "shutdown"  # the server ended first


@dataclass(frozen=True, slots=True)
class Send(Generic[ConnT]):
    """The same bytes to each of these connections."""

    to: Collection[ConnT]
    data: bytes


@dataclass(frozen=True, slots=True)
class Accept(Generic[ConnT]):
    """Tell this connection that it is a member; its group, if incomplete, ends after `expires_in_s`. `probed` is where
    its NAT probe came from, if it made one."""

    connection: ConnT
    expires_in_s: float
    probed: Endpoint | None


@dataclass(frozen=True, slots=True)
class Confirm(Generic[ConnT]):
    """Tell this connection that its probe has been noted."""

    connection: ConnT


@dataclass(frozen=True, slots=True)
class Splice(Generic[ConnT]):
    """Tell both that they are connected, and pass on what either sends to the other."""

    first: ConnT
    second: ConnT


@dataclass(frozen=True, slots=True)
class Reject(Generic[ConnT]):
    """Tell this connection why not (if its dialect has words for it) and close it."""

    connection: ConnT
    code: RejectCode
    reason: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Close(Generic[ConnT]):
    """Close these connections once what was sent to them is on its way; at once with `abort`."""

    to: Collection[ConnT]
    outcome: Outcome
    abort: bool = False


Effect = Send[ConnT] | Accept[ConnT] | Confirm[ConnT] | Splice[ConnT] | Reject[ConnT] | Close[ConnT]
