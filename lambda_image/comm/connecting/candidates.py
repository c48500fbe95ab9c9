"""The ways that may lead to a peer, and when each is begun. Pure: what the rendezvous told goes in, a plan comes out.

Both ranks of a pair make their own plan from the same facts, and all ways of both are tried at once, each after its
delay; the higher rank then chooses (handshake.py). Ways, best first:

direct    an endpoint that the peer announced. Near the peer only: two homes use the same private addresses, so these
          mean something only if the server sees both ranks at one host, or neither is behind a NAT.
punched   the peer's endpoint as the server sees it. Both dial it, each from the port that spoke to the server, so each
          opens its own NAT or firewall for the other. If the peer announced that very endpoint, it has no NAT before
          it, and the way counts as direct.
relayed   through the rendezvous server: where NATs choose another port for every destination, or a path stalls.

What is left when all of them fail is storage: the rank's own result objects, which the caller reads back.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network

from lambda_image.comm.channel.transport import Transport
from lambda_image.comm.connecting.nat import Nat
from rendezvous_server.protocol import Endpoint, Peer

STAGGER_S = 0.05  # between the starts of two direct attempts: ICE's own pace
# What the higher rank's dial gets for itself where it should do: many times what neighbours need to connect.
HEAD_START_S = 0.25
# Punching takes a few round trips, a tenth of a second across an ocean; a lost SYN is repeated after a second.
RELAY_AFTER_S = 1.0
RELAY_SOONER_S = 0.25  # behind a NAT that punching does not pass: time for a peer without a NAT to be dialled
SUBNET_PREFIX = {4: 24, 6: 64}  # addresses that share so many bits are taken to be neighbours
FIRST_PORT = 1024  # a rank's port is the kernel's choice; the ports below have services behind them
# Clouds answer here, to every host of theirs and only to it, beside the link-local addresses: AWS over IPv6, Azure,
# Alibaba Cloud, Oracle Cloud.
SERVICES = tuple(map(ip_network, ("fd00:ec2::/32", "168.63.129.16", "100.100.100.200", "192.0.0.0/24")))


@dataclass(frozen=True, slots=True)
class OwnEndpoints:
    """Where this rank is, as it and the server see it."""

    local: tuple[Endpoint, ...]  # as announced
    observed: Endpoint
    nat: Nat


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to try."""

    transport: Transport
    endpoint: Endpoint | None  # None: the rendezvous server
    delay_s: float

    def __str__(self) -> str:
        if self.endpoint is None:
            return f"{self.transport} by the rendezvous server"
        return f"{self.transport} {self.endpoint.host} port {self.endpoint.port}"


def candidates(rank: int, own: OwnEndpoints, peer: Peer) -> list[Candidate]:
    """What rank `rank`, at `own`, is to try in order to reach `peer`."""
    loopback = _is_loopback(own.observed), _is_loopback(peer.observed)
    if all(loopback):
        # One host, where a dial succeeds at once, or fails for good: one rank's dial does.
        return [Candidate(Transport.DIRECT, way, 0.0) for way in _announced(own, peer)[:1]] if rank > peer.rank else []
    relay_after_s = RELAY_SOONER_S if own.nat is Nat.ADDRESS_AND_PORT_DEPENDENT else RELAY_AFTER_S
    relay = Candidate(Transport.RELAYED, None, relay_after_s)
    if any(loopback):
        return [Candidate(Transport.RELAYED, None, 0.0)]
    return [*_dials(rank, own, peer), relay]


def _dials(rank: int, own: OwnEndpoints, peer: Peer) -> Iterator[Candidate]:
    begin_s = 0.0 if rank > peer.rank else HEAD_START_S
    near = list(_near(own, peer))
    for index, endpoint in enumerate(near):
        yield Candidate(Transport.DIRECT, endpoint, begin_s + index * STAGGER_S)
    if peer.observed not in near and _reaches(own, peer.observed):
        transport = Transport.DIRECT if peer.observed in peer.local else Transport.PUNCHED
        yield Candidate(transport, peer.observed, HEAD_START_S if near else 0.0)


def _near(own: OwnEndpoints, peer: Peer) -> Iterator[Endpoint]:
    one_host = own.observed.host == peer.observed.host
    if one_host or (own.observed in own.local and peer.observed in peer.local):
        for endpoint in _announced(own, peer):
            if one_host or _distance(own, endpoint) < _FAR:
                yield endpoint


def _announced(own: OwnEndpoints, peer: Peer) -> list[Endpoint]:
    """What the peer announced and this rank could dial, nearest first; in the peer's own order otherwise."""
    usable = [endpoint for endpoint in peer.local if endpoint.port >= FIRST_PORT and _reaches(own, endpoint)]
    return sorted(dict.fromkeys(usable), key=lambda endpoint: _distance(own, endpoint))


def _reaches(own: OwnEndpoints, endpoint: Endpoint) -> bool:
    """From this rank's port: not another family, not this rank itself, not another host's loopback."""
    return (
        endpoint not in own.local
        and endpoint.port > 0
        and _is_a_host(endpoint.host)
        and _kind(endpoint.host) == _kind(own.local[0].host)
    )


_SAME_HOST, _NEIGHBOUR, _FAR = range(3)


def _distance(own: OwnEndpoints, endpoint: Endpoint) -> int:
    return min(_apart(mine.host, endpoint.host) for mine in own.local)


# Parsing addresses takes longer than the rest of a plan, and hosts repeat.
@lru_cache(maxsize=4096)
def _apart(one: str, other: str) -> int:
    if one == other:
        return _SAME_HOST
    subnet = ip_network(f"{one}/{SUBNET_PREFIX[ip_address(one).version]}", strict=False)
    return _NEIGHBOUR if ip_address(other) in subnet else _FAR


@lru_cache(maxsize=4096)
def _kind(host: str) -> tuple[int, bool]:
    """IP version, and whether it is a loopback address."""
    address = ip_address(host)
    return address.version, address.is_loopback


@lru_cache(maxsize=4096)
def _is_a_host(host: str) -> bool:
    """Whether a rank can have this address, and a member who announces it would not point us at something else."""
    address = ip_address(host)
    special = address.is_unspecified or address.is_multicast or address.is_link_local
    services = any(address in network for network in SERVICES if network.version == address.version)
    reserved = address.is_reserved and not address.is_loopback  # as ::1 is
    return not (special or reserved or services)


def _is_loopback(endpoint: Endpoint) -> bool:
    return _kind(endpoint.host)[1]
