"""A link that delays what it carries and loses some of it, for kernels without netem: a process between two devices.

`python -m tests.network.impaired_link NAMESPACE DEVICE NAMESPACE DEVICE DELAY_MS LOSS` makes a TUN device in both
namespaces, says so, and carries packets of IPv4 and IPv6, unchanged and in order, until its standard input ends.
"""

import fcntl
import os
import random
import select
import struct
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from tests.network.namespace import enter

TUNSETIFF = 0x400454CA  # linux/if_tun.h
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
LARGEST_PACKET = 1 << 16
QUEUE = 10_000  # packets on their way; more are lost, as in a router


def main(here: str, device: str, there: str, other: str, delay_ms: str, loss: str) -> None:
    ends = tun(here, device), tun(there, other)
    print("ready", flush=True)
    carry(*ends, float(delay_ms) / 1000, float(loss))


def carry(one: int, other: int, delay_s: float, loss: float) -> None:
    opposite, stdin = {one: other, other: one}, sys.stdin.fileno()
    poll = select.poll()
    for descriptor in (one, other, stdin):
        poll.register(descriptor, select.POLLIN)
    under_way: deque[tuple[float, int, bytes]] = deque()  # arrival, where, packet; all take the same time, so in order
    while True:
        patience_ms = max(0.0, (under_way[0][0] - time.monotonic()) * 1000) if under_way else None
        for descriptor, _ in poll.poll(patience_ms):
            if descriptor == stdin:
                return
            for packet in _packets(descriptor):
                if len(under_way) < QUEUE and random.random() >= loss:
                    under_way.append((time.monotonic() + delay_s, opposite[descriptor], packet))
        while under_way and under_way[0][0] <= time.monotonic():
            _, descriptor, packet = under_way.popleft()
            with suppress(OSError):  # the device is full or down: lost, too
                os.write(descriptor, packet)


def _packets(descriptor: int) -> Iterator[bytes]:
    try:
        while True:
            yield os.read(descriptor, LARGEST_PACKET)
    except OSError:
        return  # nothing more now


def tun(namespace: str, device: str) -> int:
    """The descriptor of a new TUN device in a namespace. To be called in a thread of its own, which goes there."""
    enter(namespace)
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
    return descriptor


if __name__ == "__main__":
    main(*sys.argv[1:])
