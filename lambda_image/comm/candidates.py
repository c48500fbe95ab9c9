"""The ways that may lead to a peer, best first. Pure: what the rendezvous told goes in, an ordered plan comes out.

Today there are direct ways only. A punched one (both dial the other's observed endpoint from the port that spoke to the
rendezvous) and a relayed one are further entries of the same plan, and a case each in connector.py. What is left when
all of them fail is storage: the rank's own result objects, which the caller reads back; no channel stands for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address, ip_network

from rendezvous_server.protocol import Endpoint, Peer

STAGGER_S = 0.05  # between the starts of two attempts: about a round trip across a region, ICE's own pace
SUBNET_PREFIX = {4: 24, 6: 64}  # addresses that share so many bits are taken to be neighbours


class Transport(StrEnum):
    DIRECT = "direct"
    PUNCHED = "punched"
    RELAYED = "relayed"
    STORAGE = "storage"


@dataclass(frozen=True, slots=True)
class Candidate:
    transport: Transport
    endpoint: Endpoint
    delay_s: float  # after the first one's start

    def __str__(self) -> str:
        return f"{self.transport} {self.endpoint.host} port {self.endpoint.port}"


def candidates(own: Sequence[Endpoint], peer: Peer) -> list[Candidate]:
    """The plan for reaching `peer` from a rank whose local endpoints are `own`.

    The peer's announced endpoints, nearest first: same host, same subnet, others; then its observed host with the ports
    that it listens on, for a peer with a public address. A loopback endpoint means something to ranks on loopback only.
    """
    on_loopback = any(_is_loopback(endpoint) for endpoint in own)
    announced = [endpoint for endpoint in peer.local if on_loopback or not _is_loopback(endpoint)]
    near = sorted(announced, key=lambda endpoint: _distance(own, endpoint))  # stable: the peer's own order otherwise
    seen = [Endpoint(peer.observed.host, endpoint.port) for endpoint in peer.local]
    usable = [endpoint for endpoint in seen if on_loopback or not _is_loopback(endpoint)]
    ways = list(dict.fromkeys((*near, *usable)))
    return [Candidate(Transport.DIRECT, endpoint, index * STAGGER_S) for index, endpoint in enumerate(ways)]


def _distance(own: Sequence[Endpoint], endpoint: Endpoint) -> int:
    return min((_apart(mine.host, endpoint.host) for mine in own), default=2)


def _apart(one: str, other: str) -> int:
    """0: the same host. 1: probably neighbours. 2: anything else."""
    if one == other:
        return 0
    address = ip_address(one)
    subnet = ip_network(f"{one}/{SUBNET_PREFIX[address.version]}", strict=False)
    return 1 if ip_address(other) in subnet else 2


def _is_loopback(endpoint: Endpoint) -> bool:
    return ip_address(endpoint.host).is_loopback
