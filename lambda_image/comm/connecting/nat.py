"""What the NAT before this rank does with its endpoints. Pure.

A rank's connection to the rendezvous server and its probe leave from one local port to two ports of the server. The
names are those of RFC 4787, 4.1. With one server address, a NAT whose mapping depends on the address only looks like
an endpoint-independent one.
"""

from enum import StrEnum

from rendezvous_server.protocol import Endpoint


class Nat(StrEnum):
    """Names what the NAT between a rank and the rendezvous server does."""

    NONE = "none"  # the server sees this host's own endpoint
    ENDPOINT_INDEPENDENT = "endpoint-independent"  # one mapping for both: peers can reach it by what the server saw
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"  # another mapping for each: punching cannot work
    UNKNOWN = "unknown"  # no probe came through


def nat_behaviour(local: Endpoint, observed: Endpoint, probed: Endpoint | None) -> Nat:
    """`observed` is what the server saw of the connection from `local`, `probed` what it saw of the probe."""
    if observed == local:
        return Nat.NONE
    if probed is None:
        return Nat.UNKNOWN
    return Nat.ENDPOINT_INDEPENDENT if probed == observed else Nat.ADDRESS_AND_PORT_DEPENDENT
