"""Effects, which the registry returns and its caller performs, and outcomes, which say how connections end.

Effects are values that nobody changes. They are not frozen, because making a frozen one takes three times as long, and
every client's way leads past some.
"""

from collections.abc import Collection, Hashable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from rendezvous_server.protocol import Endpoint, RejectCode

ConnT = TypeVar("ConnT", bound=Hashable)  # a connection: anything that the caller can send to


class Outcome(StrEnum):
    """Says how a connection ended. The log and the metrics know no other words for it."""

    __hash__ = str.__hash__  # Enum's is a function in Python, and every connection is counted by its outcome

    PAIRED = "paired"  # has its partner's address
    LEFT = "left"  # a member sent LEAVE
    LOST = "lost"  # a member's or a relay's connection dropped, or that of the relay's other end
    REPLACED = "replaced"  # by a newer attempt of the same rank, or by its newer request for the same relay
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
    WITHDRAWN = "withdrawn"  # waited for its partner until another connection of its address withdrew the name
    WITHDRAWAL = "withdrawal"  # withdrew a name, whether or not its address waited under it
    ANSWERED = "answered"  # asked over HTTP
    SHUTDOWN = "shutdown"  # the server ended first


@dataclass(slots=True)
class Send(Generic[ConnT]):
    """Asks to send the same bytes to each of these connections."""

    to: Collection[ConnT]
    data: bytes


@dataclass(slots=True)
class Introduce(Generic[ConnT]):
    """Asks to tell two connections of the pairing dialect of each other, and to close them."""

    first: ConnT  # the one that waited
    to_first: bytes
    second: ConnT
    to_second: bytes


@dataclass(slots=True)
class Accept(Generic[ConnT]):
    """Asks to tell this connection that it is a member."""

    connection: ConnT
    expires_in_s: float  # until its group ends, if that stays incomplete
    probed: Endpoint | None  # where its NAT probe came from, if it made one


@dataclass(slots=True)
class Confirm(Generic[ConnT]):
    """Asks to tell this connection that its NAT probe has been noted."""

    connection: ConnT


@dataclass(slots=True)
class Splice(Generic[ConnT]):
    """Asks to tell both that they are connected, and to pass on what either sends to the other."""

    first: ConnT
    second: ConnT


@dataclass(slots=True)
class Reject(Generic[ConnT]):
    """Asks to close this connection, and to tell it why if its dialect has a frame for that."""

    connection: ConnT
    code: RejectCode
    reason: str
    outcome: Outcome


@dataclass(slots=True)
class Close(Generic[ConnT]):
    """Asks to close these connections, once what was sent to them is on its way or, with `abort`, at once."""

    to: Collection[ConnT]
    outcome: Outcome
    abort: bool = False


Effect = Send[ConnT] | Introduce[ConnT] | Accept[ConnT] | Confirm[ConnT] | Splice[ConnT] | Reject[ConnT] | Close[ConnT]
