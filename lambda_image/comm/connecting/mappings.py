"""What a NAT makes of one local port towards several servers, asked of rendezvous servers in the pairing dialect.

The names of what it does are those of RFC 4787, 4.1. Two ports of one server tell whether the mapping depends on the
port, and only a second address tells whether it depends on the address.
"""

import secrets
import socket
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lambda_image.address import Address
from lambda_image.comm.connecting.sockets import LocalPort, reason_of

PADDING = bytes(2)
RECORD_BYTES = 8  # {IPv4 address, port, padding}: what a server answers to a name


class Mapping(StrEnum):
    """Names what a NAT does with one local port."""

    NONE = "none"  # the servers see this host's own endpoint
    ENDPOINT_INDEPENDENT = "endpoint-independent"  # every server sees the same: punching works
    ADDRESS_DEPENDENT = "address-dependent"  # another one for each address: punching cannot work
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"  # another one for each port: punching cannot work
    UNKNOWN = "unknown"  # fewer than two servers answered, or only ports of one address


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one server saw of the local port. Endpoints are host:port, and None without an answer."""

    server: str
    local: str | None = None
    observed: str | None = None
    connect_ms: float | None = None
    error: str | None = None  # why there is no answer


def sightings(servers: Sequence[Address], timeout_s: float) -> list[Sighting]:
    """Asks servers one after another, all from one local port.

    Args:
        servers: Rendezvous servers, which speak IPv4 in this dialect.
        timeout_s: For each of them.

    Returns:
        What each saw, in their order.
    """
    found, port, held = [], 0, []
    try:
        for server in servers:
            sighting, sock = _ask(server, port, timeout_s)
            found.append(sighting)
            if sock is not None:  # it is kept, so that the NAT keeps its mapping
                held.append(sock)
                port = port or sock.getsockname()[1]
    finally:
        for sock in held:
            sock.close()
    return found


def mapping_of(found: Collection[Sighting]) -> Mapping:
    """Concludes what the NAT does from what servers saw of one local port."""
    seen = [one for one in found if one.observed is not None]
    if seen and all(one.observed == one.local for one in seen):
        return Mapping.NONE
    by_host: dict[str, set[str | None]] = {}
    for one in seen:
        by_host.setdefault(Address.parse(one.server).host, set()).add(one.observed)
    if any(len(observed) > 1 for observed in by_host.values()):
        return Mapping.ADDRESS_AND_PORT_DEPENDENT
    if len(by_host) < 2:
        return Mapping.UNKNOWN
    return Mapping.ENDPOINT_INDEPENDENT if len(set.union(*by_host.values())) == 1 else Mapping.ADDRESS_DEPENDENT


def _ask(server: Address, port: int, timeout_s: float) -> tuple[Sighting, socket.socket | None]:
    name = secrets.token_hex(16).encode()  # which no partner gives
    started = time.perf_counter()
    sock = None
    try:
        [(family, _, _, _, address), *_] = socket.getaddrinfo(*server, socket.AF_INET, socket.SOCK_STREAM)
        sock = LocalPort(socket.AddressFamily(family), port=port).open()
        sock.settimeout(timeout_s)
        sock.connect(address)
        connect_ms = (time.perf_counter() - started) * 1000
        local = "{}:{}".format(*sock.getsockname()[:2])
        sock.sendall(name)
        record = b""
        while len(record) < RECORD_BYTES:
            if not (data := sock.recv(RECORD_BYTES - len(record))):
                raise ConnectionError("it closed without an answer, and so is no rendezvous server")
            record += data
        if record[6:] != PADDING:
            raise ConnectionError("what it answers shows that it is no rendezvous server")
    except (OSError, UnicodeError) as error:  # the second for a name that no host can have
        if sock is not None:
            sock.close()
        return Sighting(str(server), error=reason_of(error)), None
    observed = f"{socket.inet_ntoa(record[:4])}:{int.from_bytes(record[4:6], 'big')}"
    return Sighting(str(server), local, observed, round(connect_ms, 2)), sock
