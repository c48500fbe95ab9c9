"""Connects to the first of several addresses that takes the connection, as RFC 8305 (Happy Eyeballs) says.

A name may stand for addresses of which one swallows every packet, such as an IPv6 address where IPv6 leads nowhere. The
next address is tried when the last one has failed, or after DELAY_S without an answer, while the earlier tries go on.
"""

import asyncio
import itertools
import socket
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from lambda_image.comm.connecting.sockets import LocalPort

DELAY_S = 0.25  # RFC 8305, 5: the Connection Attempt Delay that it recommends


class Destination(NamedTuple):
    """An address as the resolver gives it."""

    family: socket.AddressFamily
    address: tuple[Any, ...]


def interleaved(found: Iterable[Destination]) -> list[Destination]:
    """The destinations in the order of the resolver, but with families taking turns (RFC 8305, 4)."""
    families: dict[socket.AddressFamily, list[Destination]] = {}
    for destination in dict.fromkeys(found):
        families.setdefault(destination.family, []).append(destination)
    turns = itertools.zip_longest(*families.values())
    return [destination for turn in turns for destination in turn if destination is not None]


async def first_connected(found: Sequence[Destination], delay_s: float = DELAY_S) -> tuple[socket.socket, float]:
    """The connection that is made first, from a port of its own, and how long it took to be made.

    Raises OSError, that of the destination which failed last, if every one fails.
    """
    waiting, tries = interleaved(found), set[asyncio.Task[tuple[socket.socket, float]]]()
    failure = OSError("the name has no address")
    try:
        while waiting or tries:
            if waiting:
                tries.add(asyncio.create_task(_connected(waiting.pop(0))))
            done, _ = await asyncio.wait(
                tries, timeout=delay_s if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for ended in done:
                error = ended.exception()
                if error is None:
                    tries.discard(ended)
                    return ended.result()
                if not isinstance(error, OSError):
                    raise error
                failure = error
            tries -= done
        raise failure
    finally:
        await _end(tries)


async def _connected(destination: Destination) -> tuple[socket.socket, float]:
    loop = asyncio.get_running_loop()
    sock = LocalPort(destination.family).open()
    try:
        began = loop.time()
        await loop.sock_connect(sock, destination.address)
    except BaseException:
        sock.close()
        raise
    return sock, loop.time() - began


async def _end(tries: Iterable["asyncio.Task[tuple[socket.socket, float]]"]) -> None:
    """Ends the tries that have lost, and closes what one may have made in this very moment."""
    for task in tries:
        task.cancel()
    for result in await asyncio.gather(*tries, return_exceptions=True):
        if not isinstance(result, BaseException):
            result[0].close()
