"""What is measured against each other.

There are the communicator in four forms, raw blocking sockets in three, and Gloo.

Every contender is a group of processes of its own, so that the threads and allocators of one cannot disturb another.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to carry out the operations."""

    name: str
    kind: str  # of OURS, RAW, GLOO
    style: str = ""  # of a kind's ways to do it


OURS, RAW, GLOO = "ours", "raw", "gloo"

PLAIN = Contender("ours", OURS)
INTO = Contender("ours, out=", OURS, "into")
BARE = Contender("ours, bare", OURS, "bare into")
WITH_RECEIPTS = Contender("ours, bare with receipts", OURS, "bare into receipts")  # what encryption alone costs
RAW_STYLES = tuple(Contender(f"raw, {style}", RAW, style) for style in ("in turn", "threads", "poll"))
TORCH = Contender("Gloo", GLOO)
CONTENDERS = (PLAIN, INTO, BARE, WITH_RECEIPTS, *RAW_STYLES, TORCH)
