"""Dials a peer from the rank's own port, and says how long to wait after a dial that failed."""

import asyncio
import errno
import random
import socket
from collections.abc import Callable
from contextlib import suppress

from lambda_image.comm.connecting.backoff import Backoff
from lambda_image.comm.connecting.sockets import LocalPort
from rendezvous_server.protocol import Endpoint

# Where a NAT answers the first SYN to come with a reset, the sender's NAT forgets its mapping, and punching works only
# while the SYNs of both sides cross: measured, pauses of about the time from one side to the other do.
SHORTEST_PAUSE_S, LONGEST_FIRST_PAUSE_S = 0.001, 0.025
GROWTH = 1.1  # from one pause to the next: some twenty tries while it is worth it, then ever fewer
LONGEST_PAUSE_S = 0.5
# Drawn anew for every pause, as otherwise two sides that once miss each other go on doing so.
JITTER = (0.5, 1.5)
# Between these two endpoints there is, or just was, a connection: the peer's own dial has come to the listener.
TAKEN = frozenset({errno.EADDRNOTAVAIL, errno.EADDRINUSE})


async def dial(endpoint: Endpoint, port: LocalPort, parting: Callable[[], bytes]) -> socket.socket:
    """A connection to there from this port; pends for as long as the kernel likes to try. Raises OSError.

    A dial that is cancelled may have come through a moment before. Then `parting`, a greeting, is said, so that the
    peer does not take it for a stranger's.
    """
    sock = port.open()
    try:
        await asyncio.get_running_loop().sock_connect(sock, endpoint)
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError):
            with suppress(OSError):
                sock.send(parting())
        sock.close()
        raise
    return sock


def pause_s(error: OSError, failed: int, rtt_s: float, draw: Callable[[float, float], float] = random.uniform) -> float:
    """How long to wait after dial number `failed` (from 1) has ended with `error`.

    `rtt_s` is the round trip to the rendezvous, for want of a better guess.
    """
    first = min(max(rtt_s / 2, SHORTEST_PAUSE_S), LONGEST_FIRST_PAUSE_S)
    backoff = Backoff(LONGEST_PAUSE_S if error.errno in TAKEN else first, LONGEST_PAUSE_S, GROWTH, JITTER)
    return backoff.pause_s(failed, draw)
