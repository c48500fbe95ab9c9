"""What a user of the communicator holds. Each name is imported when it is first used, so that a start stays short.

    from lambda_image.comm import Communicator

Modules of this package import each other, and never from here.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lambda_image.comm.channel.channel import ChannelSettings
    from lambda_image.comm.channel.transport import Transport
    from lambda_image.comm.closing import Closing
    from lambda_image.comm.communicator import DEFAULT_TIMEOUT_S, Communicator
    from lambda_image.comm.connecting.nat import Nat
    from lambda_image.comm.operations.collectives import Gathered
    from lambda_image.comm.operations.reduction import Reduction
    from lambda_image.comm.peer_facts import PeerFacts
    from lambda_image.errors import (
        CommunicationError,
        PeerClosed,
        PeerError,
        PeerTimeout,
        PeerUnreachable,
        RendezvousError,
        RendezvousRejected,
        RendezvousTimeout,
        RendezvousUnreachable,
    )
    from rendezvous_server.protocol import Topology

__all__ = [
    "DEFAULT_TIMEOUT_S",
    "ChannelSettings",
    "Closing",
    "CommunicationError",
    "Communicator",
    "Gathered",
    "Nat",
    "PeerClosed",
    "PeerError",
    "PeerFacts",
    "PeerTimeout",
    "PeerUnreachable",
    "Reduction",
    "RendezvousError",
    "RendezvousRejected",
    "RendezvousTimeout",
    "RendezvousUnreachable",
    "Topology",
    "Transport",
]

_HOMES = {
    "ChannelSettings": "lambda_image.comm.channel.channel",
    "Closing": "lambda_image.comm.closing",
    "Communicator": "lambda_image.comm.communicator",
    "DEFAULT_TIMEOUT_S": "lambda_image.comm.communicator",
    "Gathered": "lambda_image.comm.operations.collectives",
    "Nat": "lambda_image.comm.connecting.nat",
    "PeerFacts": "lambda_image.comm.peer_facts",
    "Reduction": "lambda_image.comm.operations.reduction",
    "Topology": "rendezvous_server.protocol",
    "Transport": "lambda_image.comm.channel.transport",
}
_ERRORS = "lambda_image.errors"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES.get(name, _ERRORS)), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
