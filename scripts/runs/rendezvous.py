"""Which rendezvous server a run uses."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from lambda_image.address import Address
from lambda_image.errors import UsageError
from scripts.runs.place import Place

NONE, START = "none", "start"  # of the flag --rendezvous
WITHOUT = (
    "no rendezvous server runs, so the ranks gather by way of S3, which takes longer and gives the same results "
    f"(--rendezvous {START} gives the run one)"
)


class RendezvousChoice(NamedTuple):
    """What is added to an execution input, and a sentence for the user where something is to be said."""

    keys: Mapping[str, Any]
    sentence: str = ""
    # Whether a server that somebody has started for many runs is looked for, or one is started for this run.
    sought: bool = False
    started: bool = False  # whether this is so however short the run is


def rendezvous_for(place: Place, given: Mapping[str, Any], flag: str | None) -> RendezvousChoice:
    """Chooses the rendezvous server of a run.

    Args:
        place: where it is to run.
        given: its execution input, which may name one.
        flag: HOST:PORT, none, start, or None for a choice.

    Raises:
        UsageError: the flag is no address.
    """
    if flag == NONE:
        return RendezvousChoice({"fmi_enabled": False, "rendezvous_endpoint": None})
    if flag == START and place.local is not None:
        raise UsageError(f"--rendezvous {START} is for AWS: a local endpoint has the server that it was started with")
    if flag == START:
        return RendezvousChoice({}, WITHOUT, sought=True, started=True)
    if flag is not None:
        try:
            return RendezvousChoice({"rendezvous_endpoint": str(Address.parse(flag))})
        except ValueError as allowed:
            raise UsageError(f"--rendezvous is {flag}; allowed: {allowed}, {START} or {NONE}") from None
    if place.local is not None or given.get("rendezvous_endpoint") or given.get("fmi_enabled") is not None:
        return RendezvousChoice({})
    if place.rendezvous is not None:  # Init knows it, too; the input then shows it to whoever looks at the run
        return RendezvousChoice({"rendezvous_endpoint": place.rendezvous})
    return RendezvousChoice({}, WITHOUT, sought=True)
