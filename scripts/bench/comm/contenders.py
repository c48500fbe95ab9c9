"""What is measured against each other: the communicator in three forms, raw blocking sockets in three, and Gloo.

Every contender is a group of processes of its own, so that the threads and allocators of one cannot disturb another.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Contender:
    name: str
    kind: str  # of OURS, RAW, GLOO
    style: str = ""  # of a kind's ways to do it


OURS, RAW, GLOO = "ours", "raw", "gloo"

TAGGED = Contender("ours", OURS)
BARE = Contender("ours, no tags", OURS, "bare")
BARE_INTO = Contender("ours, no tags, out=", OURS, "bare into")
RAW_STYLES = tuple(Contender(f"raw, {style}", RAW, style) for style in ("in turn", "threads", "poll"))
TORCH = Contender("Gloo", GLOO)
CONTENDERS = (TAGGED, BARE, BARE_INTO, *RAW_STYLES, TORCH)
