"""Which rendezvous server a run uses."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from lambda_image.address import Address
from lambda_image.errors import UsageError
from scripts.runs.place import Place

NONE = "none"  # of the flag --rendezvous


class RendezvousChoice(NamedTuple):
    """What is added to an execution input, and a sentence for the user where something is to be said."""

    keys: Mapping[str, Any]
    sentence: str = ""


def rendezvous_for(place: Place, given: Mapping[str, Any], flag: str | None) -> RendezvousChoice:
    """Chooses the rendezvous server of a run.

    Args:
        place: where it is to run.
        given: its execution input, which may name one.
        flag: HOST:PORT, none, or None for a choice.

    Raises:
        UsageError: the flag is no address.
    """
    if flag == NONE:
        return RendezvousChoice({"fmi_enabled": False, "rendezvous_endpoint": None})
    if flag is not None:
        try:
            return RendezvousChoice({"rendezvous_endpoint": str(Address.parse(flag))})
        except ValueError as allowed:
            raise UsageError(f"--rendezvous is {flag}; allowed: {allowed}, or {NONE}") from None
    if place.local is not None or given.get("rendezvous_endpoint") or given.get("fmi_enabled") is not None:
        return RendezvousChoice({})
    if place.rendezvous is not None:  # Init knows it, too; the input then shows it to whoever looks at the run
        return RendezvousChoice({"rendezvous_endpoint": place.rendezvous})
    return RendezvousChoice(
        {}, "no rendezvous server runs, so the ranks gather by way of S3, which takes longer and gives the same results"
    )
