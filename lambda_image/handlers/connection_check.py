"""What the rank function answers to `cosmicai doctor`: where it runs, and how two of it reach each other.

Two invocations at the same time are given the two ranks of a group, as in a run. Nothing is read from or written to S3.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from lambda_image import process
from lambda_image.address import Address
from lambda_image.comm.channel.channel import ChannelSettings
from lambda_image.comm.communicator import Communicator
from lambda_image.comm.connecting.mappings import Sighting, mapping_of, sightings
from lambda_image.errors import CommunicationError, InvalidEvent
from lambda_image.processor import this_processor
from lambda_image.results import Phases
from lambda_image.settings import HandlerSettings

WORLD_SIZE = 2
KEY_DIGITS = 64
MAX_SERVERS = 4  # two ports of two servers
MAX_MEGABYTES, MAX_TIMEOUT_S = 64, 120.0
MEGABYTE = 1_000_000
ROUND_TRIPS = 5
SERVER_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class ConnectionCheck:
    """What is asked. `run_key` is the group's, and no run's."""

    run_id: str
    run_key: str
    rank: int
    servers: tuple[Address, ...]  # the first is where the ranks meet
    megabytes: int
    timeout_s: float

    @classmethod
    def from_json(cls, content: object) -> "ConnectionCheck":
        """Reads it.

        Raises:
            InvalidEvent: a key is missing, unknown or wrong. The message says what is allowed.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(content, Mapping) or content.keys() != names:
            raise InvalidEvent(f"check must be an object with the keys {', '.join(sorted(names))}, and no others")
        for name, (allowed, fits) in ALLOWED.items():
            if not fits(content[name]):
                raise InvalidEvent(f"check: {name} is {str(content[name])[:100]!r}; allowed: {allowed}")
        servers = tuple(Address.parse(server) for server in content["servers"])
        return cls(**{**content, "servers": servers})


def answer(
    content: object,
    settings: HandlerSettings,
    engine: str,
    cold_start: Phases,
    join: Callable[..., Communicator] = Communicator.join,
    see: Callable[[Sequence[Address], float], list[Sighting]] = sightings,
) -> dict[str, Any]:
    """Answers a check. What the network refuses is part of the answer.

    Args:
        content: What the event has as `check`.
        settings: The function's.
        engine: The name of the engine that it has loaded.
        cold_start: How long its process took to start; zeros if it has answered before.
        join: Joins a group.
        see: Asks servers what they see of this host.

    Raises:
        InvalidEvent: the check is not one.
    """
    check = ConnectionCheck.from_json(content)
    ends = time.monotonic() + check.timeout_s
    seen = see(check.servers, min(SERVER_TIMEOUT_S, check.timeout_s))
    return {
        "rank": check.rank,
        "processor": asdict(this_processor()),
        "cpus": process.usable_cpus(),
        "memory_mb": settings.memory_mb,
        "engine": engine,
        "cold_start": {"cold": cold_start.cold_start_s > 0, **_seconds(cold_start)},
        "servers": [asdict(one) for one in seen],
        "mapping": str(mapping_of(seen)),
        "link": _link(check, seen, settings, join, ends),
    }


def _link(
    check: ConnectionCheck,
    seen: list[Sighting],
    settings: HandlerSettings,
    join: Callable[..., Communicator],
    ends: float,
) -> dict[str, Any]:
    link: dict[str, Any] = {"transport": None, "nat": None, "error": None}
    if not seen or seen[0].observed is None:
        return link | {"error": "no rendezvous server answers this function"}
    peer = 1 - check.rank
    with join(
        str(check.servers[0]),
        run_id=check.run_id,
        run_key=bytes.fromhex(check.run_key),
        rank=check.rank,
        world_size=WORLD_SIZE,
        rendezvous_key=settings.rendezvous_key,
        deadline=ends,
        settings=ChannelSettings(max_segment=settings.max_segment),
    ) as communicator:
        try:
            communicator.barrier(deadline=ends)
            link |= _measure(communicator, check, peer, ends)
        except CommunicationError as error:
            link["error"] = f"{type(error).__name__}: {error}"
        link["nat"] = str(communicator.nat)
        link["join_s"] = communicator.join_s
        for facts in communicator.peers():
            if facts.rank == peer:
                link |= {"transport": facts.transport, "connect_s": facts.connect_s}
    return link


def _measure(communicator: Communicator, check: ConnectionCheck, peer: int, ends: float) -> dict[str, float]:
    """Seconds there and back, and megabytes per second each way, as the receiver counts them."""
    trips = []
    for _ in range(ROUND_TRIPS):
        started = time.perf_counter()
        if check.rank == 0:
            communicator.send(b"?", peer, deadline=ends)
            communicator.recv(peer, deadline=ends)
        else:
            communicator.recv(peer, deadline=ends)
            communicator.send(b"!", peer, deadline=ends)
        trips.append(time.perf_counter() - started)
    payload, received = bytes(check.megabytes * MEGABYTE), {}
    for sender in range(WORLD_SIZE):
        communicator.barrier(deadline=ends)
        started = time.perf_counter()
        if sender == check.rank:
            communicator.send(payload, peer, deadline=ends)
        else:
            communicator.recv(peer, deadline=ends)
            received["received_mb_s"] = round(check.megabytes / (time.perf_counter() - started), 2)
    communicator.barrier(deadline=ends)
    return {"round_trip_ms": round(min(trips) * 1000, 3), **received}


def _seconds(phases: Phases) -> dict[str, float]:
    names = ("interpreter_s", "imports_s", "model_s", "cold_start_s")
    return {name: round(getattr(phases, name), 3) for name in names}


def _whole(value: object, first: int, last: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and first <= value <= last


def _address(value: object) -> bool:
    try:
        Address.parse(value)
    except ValueError:
        return False
    return True


ALLOWED: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "run_id": (
        "a text of 1 to 80 characters",
        lambda value: isinstance(value, str) and 1 <= len(value) <= 80 and value.isascii() and value.isprintable(),
    ),
    "run_key": (
        f"{KEY_DIGITS} hexadecimal digits",
        lambda value: isinstance(value, str) and len(value) == KEY_DIGITS and set(value) <= set("0123456789abcdef"),
    ),
    "rank": (f"0 to {WORLD_SIZE - 1}", lambda value: _whole(value, 0, WORLD_SIZE - 1)),
    "servers": (
        f"a list of 0 to {MAX_SERVERS} times host:port",
        lambda value: isinstance(value, list) and len(value) <= MAX_SERVERS and all(map(_address, value)),
    ),
    "megabytes": (f"a whole number from 1 to {MAX_MEGABYTES}", lambda value: _whole(value, 1, MAX_MEGABYTES)),
    "timeout_s": (
        f"a number of seconds from 1 to {MAX_TIMEOUT_S:g}",
        lambda value: (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and math.isfinite(value)
            and 1 <= value <= MAX_TIMEOUT_S
        ),
    ),
}
