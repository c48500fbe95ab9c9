"""Faults of the network between hosts of ranks, and between them and the rendezvous server."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lambda_image.comm.channel.handshake import PROBE
from tests.faults.bed import Bed
from tests.faults.fault import Fault, Injection, Place
from tests.faults.packets import SYN, Packet, resets
from tests.faults.reach import PORT, Reach
from tests.faults.segment import Harm, lacking

Given = Iterator[Mapping[str, Any]]
ROOT, VICTIM = 0, 2  # the two ranks between which the network is bad
FLIPPED = 0x10  # the bit of a byte
MIDDLE_OF_PROBE = range(len(PROBE) // 4, len(PROBE) // 2)  # bytes of a connection
SEGMENTS = 10  # more than a part of this size has
SEQUENCES = 2**32  # numbers of bytes, after which TCP begins anew
WHOLE = 400  # bytes of a segment that a frame's header alone does not fill

MakeHarm = Callable[[Reach], Harm]


class Carried:
    """Counts the bytes that connections have carried. One that is sent again, as after a pause, counts once."""

    def __init__(self) -> None:
        self._starts: dict[tuple[str, int, str, int], int] = {}  # the first byte of each direction
        self._bytes: dict[frozenset[tuple[str, int]], dict[str, int]] = defaultdict(lambda: defaultdict(int))

    def add(self, packet: Packet) -> int:
        """Counts a packet, and tells how many bytes have come in the direction in which more have."""
        direction = packet.source, packet.source_port, packet.destination, packet.destination_port
        directions = self._bytes[packet.flow]
        if packet.flags & SYN:  # ranks use their ports again
            self._starts[direction] = (packet.sequence + 1) % SEQUENCES
            directions[packet.source] = 0
        if packet.payload:
            start = self._starts.setdefault(direction, packet.sequence)
            end = (packet.sequence - start) % SEQUENCES + len(packet.payload)
            directions[packet.source] = max(directions[packet.source], end)
        return max(directions.values(), default=0)


def far_and_lossy(delay_s: float, loss: float) -> Injection:
    @contextmanager
    def inject(bed: Bed) -> Given:
        segment = reach_of(bed).segment
        segment.delay_s, segment.loss = delay_s, loss
        yield {}

    return inject


def harmed(make: MakeHarm) -> Injection:
    """The network does harm for the whole run."""

    @contextmanager
    def inject(bed: Bed) -> Given:
        reach = reach_of(bed)
        reach.segment.harms.append(make(reach))
        yield {}

    return inject


def harmed_in_gather(make: MakeHarm) -> Injection:
    """The network does harm from when the rank has begun to gather."""

    @contextmanager
    def inject(bed: Bed) -> Given:
        reach = reach_of(bed)
        bed.on(lambda _: reach.segment.harms.append(make(reach)), phase="gather", rank=VICTIM)
        yield {}

    return inject


def black_hole(after: int) -> MakeHarm:
    """Connections between the two carry so many bytes in one direction, and then nothing more in any."""

    def make(reach: Reach) -> Harm:
        concerns, carried = reach.between(ROOT, VICTIM), Carried()

        def swallow(packet: Packet) -> Iterable[Packet] | None:
            return () if concerns(packet) and carried.add(packet) > after else None

        return swallow

    return make


def partition(reach: Reach) -> Harm:
    concerns = reach.between(ROOT, VICTIM)
    return lambda packet: () if concerns(packet) else None


def reset_in_mid_frame(reach: Reach) -> Harm:
    """One connection ends, when the first part of a frame has come."""
    concerns, done = reach.between(ROOT, VICTIM), list[Packet]()

    def reset(packet: Packet) -> Iterable[Packet] | None:
        if done or not concerns(packet) or reach.rank_of[packet.source] != VICTIM or len(packet.payload) < WHOLE:
            return None
        done.append(packet)
        return resets(packet, passing=len(packet.payload) // 2)

    return reset


def flipped_in_part(reach: Reach) -> Harm:
    """One bit in each of some segments, of which TCP's own checksum knows nothing. One alone may miss the table."""
    concerns, done = reach.between(ROOT, VICTIM), list[Packet]()

    def flip(packet: Packet) -> Iterable[Packet] | None:
        large = concerns(packet) and reach.rank_of[packet.source] == VICTIM and len(packet.payload) >= WHOLE
        if not large or len(done) >= SEGMENTS:
            return None
        done.append(packet)
        return (flipped(packet),)

    return flip


def flipped_in_probe(reach: Reach) -> Harm:
    """On every connection between the two."""
    concerns, carried = reach.between(ROOT, VICTIM), Carried()

    def flip(packet: Packet) -> Iterable[Packet] | None:
        if not concerns(packet):
            return None
        return (flipped(packet),) if carried.add(packet) in MIDDLE_OF_PROBE and packet.payload else None

    return flip


def flipped_by_the_server(times: int) -> MakeHarm:
    """In so many answers of the rendezvous server to one rank, on one connection after another."""

    def make(reach: Reach) -> Harm:
        harmed_flows = set[frozenset[tuple[str, int]]]()

        def flip(packet: Packet) -> Iterable[Packet] | None:
            to_victim = packet.source_port == PORT and reach.rank_of.get(packet.destination) == VICTIM
            if not to_victim or not packet.payload or packet.flow in harmed_flows or len(harmed_flows) >= times:
                return None
            harmed_flows.add(packet.flow)
            return (flipped(packet),)

        return flip

    return make


def flipped(packet: Packet) -> Packet:
    """With one bit of the middle of its payload changed."""
    payload, place = bytearray(packet.payload), len(packet.payload) // 2
    payload[place] ^= FLIPPED
    return packet.with_payload(bytes(payload))


def reach_of(bed: Bed) -> Reach:
    assert bed.reach is not None, "this fault needs hosts"
    return bed.reach


def on_hosts(name: str, how: str, deadline_s: float, inject: Injection, **more: Any) -> Fault:
    return Fault(name, how, deadline_s, inject, place=Place.HOSTS, lacking=lacking, **more)


FAULTS = (
    on_hosts(
        "the network is far and lossy", "200 ms one way, and 2 % of the packets lost", 30, far_and_lossy(0.2, 0.02)
    ),
    on_hosts(
        "a path is a black hole after 20 kB",
        "between ranks 0 and 2",
        30,
        harmed(black_hole(20_000)),
        fast=True,
        named="1 relayed",
    ),
    on_hosts(
        "a path is a black hole after 66 kB", "between ranks 0 and 2", 30, harmed(black_hole(66_000)), named="rank 2"
    ),
    on_hosts("two ranks are parted", "no packet between ranks 0 and 2", 30, harmed(partition), named="1 relayed"),
    on_hosts(
        "two ranks are parted in the gather",
        "no packet between ranks 0 and 2 from then on",
        30,
        harmed_in_gather(partition),
        named="rank 2",
    ),
    on_hosts(
        "a connection is reset in mid-frame",
        "RST behind half a segment of rank 2's part",
        30,
        harmed_in_gather(reset_in_mid_frame),
        named="rank 2|3 direct",
    ),
    on_hosts(
        "a bit of each probe is flipped", "between ranks 0 and 2", 30, harmed(flipped_in_probe), named="1 relayed"
    ),
    on_hosts(
        "a bit of a part is flipped",
        f"in {SEGMENTS} segments from rank 2",
        30,
        harmed_in_gather(flipped_in_part),
        fast=True,
        named="rank 2|3 direct",
    ),
    on_hosts("a bit of the server's answer is flipped", "once, to rank 2", 30, harmed(flipped_by_the_server(1))),
    on_hosts(
        "a bit of each answer of the server is flipped",
        "to rank 2, on every connection",
        30,
        harmed(flipped_by_the_server(1_000_000)),
        named="rank 2|Rendezvous",
    ),
)
