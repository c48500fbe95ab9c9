"""By which way two ranks are connected."""

from enum import StrEnum


class Transport(StrEnum):
    """Names a way, best first; connecting/candidates.py says what each means."""

    DIRECT = "direct"
    PUNCHED = "punched"
    RELAYED = "relayed"


WAYS = tuple(Transport)
