"""How two ranks are connected."""

from enum import StrEnum


class Transport(StrEnum):
    """Names how two ranks are connected, the best first. connecting/candidates.py says when each is tried."""

    DIRECT = "direct"  # to an endpoint of the peer's own host
    PUNCHED = "punched"  # to the peer's endpoint as the server sees it, which both dial at once
    RELAYED = "relayed"  # through the rendezvous server


WAYS = tuple(Transport)
