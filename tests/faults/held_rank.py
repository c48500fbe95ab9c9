"""The rank's function as it is, but that it waits behind each line about a phase until the test has read that line.

A test that harms a rank in a phase does so when it reads of the phase. The rank goes on meanwhile. On a busy machine
it has left the phase by then. This one stands still until the test, which may have stopped or killed it, lets it go on
by a byte to its standard input.
"""

import os
import threading
from dataclasses import replace

from lambda_image.handlers import log

STDIN = 0
PHASE = "phase"  # the event that is held
_one_at_a_time = threading.Lock()  # so that the byte for one line lets no other thread go on


def log_and_wait(event: str, **fields: object) -> None:
    """Goes on at once where nobody holds the other end any more."""
    if event != PHASE:
        log(event, **fields)
        return
    with _one_at_a_time:
        log(event, **fields)
        os.read(STDIN, 1)


if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    from lambda_image.handlers.rank import handler

    outside = replace(handler.environment.collaborators, log=log_and_wait)
    handler.environment = replace(handler.environment, collaborators=outside)
