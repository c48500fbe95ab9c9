"""Handlers of ranks that are not as they should be: of another version, or without memory."""

import resource
import threading
from pathlib import Path
from typing import Any

CRAMPED = 2  # the rank that has no address space
LEFT_STACKS = 8  # more than glibc keeps: 40 MB, of 8 MB each


def channel(event: dict[str, Any], context: object) -> Any:
    """Its peers do not know its greeting, as that of an image from another year."""
    from lambda_image.comm.channel import handshake

    handshake.Handshake.magic = b"CAI9"
    return _handler()(event, context)


def rendezvous(event: dict[str, Any], context: object) -> Any:
    """The server does not know its hello."""
    from rendezvous_server.protocol import client

    client.VERSION = 0
    return _handler()(event, context)


def without_address_space(event: dict[str, Any], context: object) -> Any:
    """One rank may take no more address space than it has when it begins."""
    handler = _handler()
    if event["item"]["rank"] != CRAMPED:
        return handler(event, context)
    for thread in threading.enumerate():
        if thread.name == "prepare":  # what it loads would not fit any more, either: that would be another fault
            thread.join()
    # These take the stacks that other threads have left. With such a stack and no memory a thread begins and fails
    # before it can say so, and CPython waits for its word for ever.
    for _ in range(LEFT_STACKS):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    unlimited = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize(), unlimited[1]))
    try:
        return handler(event, context)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, unlimited)


def _handler() -> Any:
    from tests.faults.held_rank import handler

    return handler
