"""What a client asks for that speaks no frames: a partner, the end of a wait, or an answer over HTTP.

Names have no end (see the package's rules), so a request that is cut in a place that means something else is taken for
that: `remove_pair_ab` is a withdrawal of `ab` before `remove_pair_abc` is one of `abc`. Clients send theirs at once.
"""

import re
from dataclasses import dataclass

from rendezvous_server.protocol.messages import MAX_PAIRING_NAME, RemoteProtocolError

WITHDRAWAL = b"remove_pair_"  # what Cylon's copy of TCPunch puts before a name that it has waited for in vain
MAX_REQUEST_LINE = 2_048  # bytes of an HTTP request's first line; a health check's has tens
# TCPunch's later server has another protocol on the same port: a name of 100 bytes, a token of 37, flags of 4.
PROTOCOL_2_BYTES = 141
HTTP_METHODS = frozenset(
    (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH", b"PRI")
)
_HTTP = re.compile(b"(" + b"|".join(sorted(HTTP_METHODS)) + b") ")
_FOREIGN = {0x0D: "a PROXY protocol header, which this server is not set to expect", 0x16: "TLS"}
_HTTP_FIRST = frozenset(b"GHPDCOT")  # a look at one byte spares most names the other look
_PROTOCOL_2 = (
    f"TCPunch's protocol v2, a request of {PROTOCOL_2_BYTES} bytes; this server speaks the first protocol only"
)


@dataclass(slots=True)  # not frozen, because one is made for every name, and a frozen one takes three times as long
class PairingRequested:
    """Tells that a client of the pairing dialect gave a name.

    A name may arrive in parts. Each part yields this event again with the longer name.
    """

    name: bytes  # the name so far, 1 to 100 bytes


@dataclass(frozen=True, slots=True)
class WithdrawalRequested:
    """Tells that a client waits under a name no longer, by a connection other than the one that waits."""

    name: bytes  # 1 to 100 bytes


@dataclass(frozen=True, slots=True)
class HttpRequested:
    """Tells that a client speaks HTTP. The answer has no frame, as in the pairing dialect."""

    method: str  # such as GET
    path: str  # without its query


def read_request(head: bytes) -> PairingRequested | WithdrawalRequested | HttpRequested | None:
    """What the bytes so far ask for, at least one; None if more must come before they ask for anything.

    Raises:
        RemoteProtocolError: They ask for nothing that this server has.
    """
    # As in a C string, a zero ends a name: what follows is padding, however it was cut.
    name = head.partition(b"\0")[0]
    if head.startswith(WITHDRAWAL):
        if len(head) > len(WITHDRAWAL) + MAX_PAIRING_NAME:
            raise _unreadable(name, head)
        name = name[len(WITHDRAWAL) :]
        return WithdrawalRequested(name) if name else None
    first = head[0]
    if first in _FOREIGN:
        raise RemoteProtocolError(_FOREIGN[first])
    if first in _HTTP_FIRST and _HTTP.match(head):
        return _http_request(head)
    if not name or len(head) > MAX_PAIRING_NAME:
        raise _unreadable(name, head)
    return PairingRequested(name)


def _unreadable(name: bytes, head: bytes) -> RemoteProtocolError:
    if len(head) == PROTOCOL_2_BYTES:
        return RemoteProtocolError(_PROTOCOL_2)
    was = f"a pairing name of {len(name)} bytes in {len(head)}"
    return RemoteProtocolError(f"{was}; 1 to {MAX_PAIRING_NAME} are allowed")


def _http_request(head: bytes) -> HttpRequested | None:
    line, newline, _ = head.partition(b"\n")
    if len(line) > MAX_REQUEST_LINE:
        raise RemoteProtocolError(f"HTTP whose first line has more than {MAX_REQUEST_LINE} bytes")
    if not newline:
        return None
    method, target = line.split(b" ")[:2]
    return HttpRequested(method.decode(), target.partition(b"?")[0].strip().decode("ascii", "replace"))
