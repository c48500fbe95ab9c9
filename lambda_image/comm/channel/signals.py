"""What a frame says beside its payload: which operation it belongs to, and how it may end one."""

import json
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from lambda_image.errors import CommunicationError, PeerClosed, PeerError, PeerTimeout, PeerUnreachable
from lambda_image.json_text import parse_json

MAX_REASON = 500  # characters of an abort's reason: a sentence or two


class Kind(IntEnum):
    """Names the kinds of operations. Ranks that disagree on the kind have lost step, and are told so."""

    BARRIER = 1
    BCAST = 2
    GATHER = 3
    ALLGATHER = 4
    SCATTER = 5
    REDUCE = 6
    ALLREDUCE = 7
    SCAN = 8
    SEND = 255  # point to point: follows the collective whose number it carries


class Flag(IntFlag):
    NONE = 0
    ABORT = 1  # the operation has failed at the sender; the payload says why
    RECEIPT = 2  # the sender has received this rank's part completely
    TREE = 4  # the operation goes along a tree (cost_model.py)
    PIECES = 8  # in a bcast: what pieces there will be, or one of them
    CONFIRM = 16  # the sender of a part waits for a receipt
    SEALED = 32  # the payload is encrypted for all ranks of the group (sealing.py)


ABORT = int(Flag.ABORT)  # enumerations are slow to compare, and this is asked of every frame


@dataclass(frozen=True, slots=True)
class Abort:
    """Why an operation has failed at the rank that says so."""

    kind: type[PeerError]
    peer: int | None  # the rank that it failed for
    reason: str


def abort_payload(error: Exception) -> bytes:
    peer, reason = (error.peer, error.reason) if isinstance(error, CommunicationError) else (None, None)
    reason = (reason or f"{type(error).__name__}: {error}")[:MAX_REASON]
    return json.dumps({"error": type(error).__name__, "peer": peer, "reason": reason}).encode()


def parse_abort(payload: object) -> Abort:
    try:
        said = parse_json(bytes(payload))  # type: ignore[call-overload]
        peer = said["peer"] if isinstance(said["peer"], int) else None
        return Abort(_KINDS.get(said["error"], PeerClosed), peer, str(said["reason"])[:MAX_REASON])
    except (ValueError, TypeError, KeyError):
        return Abort(PeerClosed, None, "it gave no reason")


def name_of(operation: int, kind: int) -> str:
    return f"{operation} ({Kind(kind).name.lower() if kind in list(Kind) else kind})"


_KINDS: dict[str, type[PeerError]] = {kind.__name__: kind for kind in (PeerClosed, PeerTimeout, PeerUnreachable)}
