"""A network for one system: hosts in namespaces, and between them a thread that may harm what it carries.

Each host has a TUN device. Every packet comes to this process, which hands it to the host that it is for, unless a
harm does something else with it. So one place can delay, lose, cut, reset and change, and nothing of the kernel is
needed but namespaces and TUN.

    with Segment(5) as segment:
        segment.harms.append(lambda packet: ())          # nothing passes
        segment.hosts[1].namespace.start("module")
"""

import os
import random
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tests.faults.packets import Packet, destination_of, parse
from tests.network.impaired_link import LARGEST_PACKET, tun
from tests.network.namespace import Namespace, in_a_thread, unavailable

# Networks for documentation (RFC 5737, RFC 3849), which are nobody's.
NETWORK_4, NETWORK_6 = "198.51.100.{}", "2001:db8:ffff::{:x}"
DEVICE = "wan"
QUEUE = 10_000  # packets on their way; more are lost, as in a router
IDLE_S = 0.2  # until the thread looks whether it is to end

Harm = Callable[[Packet], Iterable[Packet] | None]  # what goes on instead, or None where it does nothing to the packet


class Host(NamedTuple):
    """One of the segment's hosts."""

    namespace: Namespace
    address: str
    address_6: str
    device: int  # the descriptor of its TUN device


class Segment:
    """The hosts, of which the first is for servers, as a context manager in the main thread."""

    def __init__(self, hosts: int) -> None:
        self.harms: list[Harm] = []
        self.delay_s, self.loss = 0.0, 0.0  # of each packet, one way
        self.hosts = [_host(number) for number in range(1, hosts + 1)]
        self._places = {address: host.device for host in self.hosts for address in (host.address, host.address_6)}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="segment", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        for host in self.hosts:
            os.close(host.device)
            host.namespace.close()

    def mend(self) -> None:
        """Carries everything as it is again."""
        self.harms.clear()
        self.delay_s, self.loss = 0.0, 0.0

    def _carry(self) -> None:
        poll = select.poll()
        for host in self.hosts:
            poll.register(host.device, select.POLLIN)
        under_way: deque[tuple[float, bytes]] = deque()
        while not self._over.is_set():
            patience_s = max(0.0, under_way[0][0] - time.monotonic()) if under_way else IDLE_S
            for device, _ in poll.poll(min(patience_s, IDLE_S) * 1000):
                with suppress(BlockingIOError):
                    while True:
                        self._pass(os.read(device, LARGEST_PACKET), under_way)
            while under_way and under_way[0][0] <= time.monotonic():
                self._deliver(under_way.popleft()[1])

    def _pass(self, data: bytes, under_way: deque[tuple[float, bytes]]) -> None:
        for packet in self._harmed(data):
            if len(under_way) < QUEUE and random.random() >= self.loss:
                under_way.append((time.monotonic() + self.delay_s, packet))

    def _harmed(self, data: bytes) -> list[bytes]:
        packet = parse(data)
        for harm in tuple(self.harms) if packet is not None else ():
            assert packet is not None
            if (instead := harm(packet)) is not None:
                return [one.whole for one in instead]
        return [data]

    def _deliver(self, data: bytes) -> None:
        device = self._places.get(destination_of(data))
        with suppress(OSError):  # the device is full: lost. Where there is no such host, it is lost, too
            if device is not None:
                os.write(device, data)


def lacking() -> str | None:
    """Why there can be no segment on this machine, if so."""
    if not Path("/dev/net/tun").exists():
        return "TUN devices (/dev/net/tun) are missing"
    return unavailable()


def _host(number: int) -> Host:
    namespace = Namespace()
    device = in_a_thread(lambda: tun(namespace.path, DEVICE))
    address, address_6 = NETWORK_4.format(number), NETWORK_6.format(number)
    namespace.ip(
        f"address add {address}/24 dev {DEVICE}",
        f"address add {address_6}/64 dev {DEVICE} nodad",
        f"link set dev {DEVICE} up",
    )
    return Host(namespace, address, address_6, device)
