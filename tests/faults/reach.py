"""Ranks on hosts of their own, and what they reach from there: the segment, its rendezvous server, names, AWS.

Lambda's Runtime API and S3 are reached past the segment, since none of its faults concerns them.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.faults.forwarding import forwarded
from tests.faults.packets import Packet
from tests.faults.resolver import CONFIGURATION, Names, resolving
from tests.faults.segment import Segment
from tests.integration.rendezvous import KEY

PORT = 10_000  # of the rendezvous server, in a namespace where nobody else has it
NAME = "rendezvous.test"
SERVER_HOST = 0
# In a mount namespace of its own, so that this machine keeps its resolver.
WITH_RESOLVER = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'


@dataclass
class Reach:
    """The hosts, of which the first is the rendezvous server's, and the ranks that are on them now."""

    segment: Segment
    names: Names
    resolver_file: Path
    rank_of: dict[str, int]  # by address

    @classmethod
    @contextmanager
    def made(cls, folder: Path, ranks: int, ports: Sequence[int]) -> Iterator[Self]:
        """Makes hosts for so many ranks, which reach these ports of the loopback."""
        resolver_file = folder / "resolv.conf"
        resolver_file.write_text(CONFIGURATION)
        with ExitStack() as stack:
            segment = stack.enter_context(Segment(ranks + 1))
            of_ranks = [host.namespace for host in segment.hosts[SERVER_HOST + 1 :]]
            stack.enter_context(forwarded(of_ranks, ports))
            names = Names({})
            stack.enter_context(resolving(of_ranks, names))
            flags = ("--host", "::", "--port", str(PORT), "--http-port", "off")
            server = segment.hosts[SERVER_HOST].namespace.start("rendezvous_server", *flags, RENDEZVOUS_KEY=KEY)
            assert server.stdout is not None
            assert json.loads(server.stdout.readline())["event"] == "listening"
            yield cls(segment, names, resolver_file, {})

    @property
    def endpoint(self) -> str:
        return f"{self.segment.hosts[SERVER_HOST].address}:{PORT}"

    def wrapper(self, host: int) -> tuple[str, ...]:
        """What a command is given to in order to run on a host."""
        path = self.segment.hosts[host].namespace.path
        return ("nsenter", f"--net={path}", "unshare", "--mount", "sh", "-c", WITH_RESOLVER, str(self.resolver_file))

    def is_at(self, host: int, rank: int) -> None:
        """Takes note of where a rank is."""
        place = self.segment.hosts[host]
        self.rank_of |= {place.address: rank, place.address_6: rank}

    def between(self, *ranks: int) -> Callable[[Packet], bool]:
        """Tells packets from one of these ranks to another one of them."""

        def concerns(packet: Packet) -> bool:
            ends = self.rank_of.get(packet.source), self.rank_of.get(packet.destination)
            return None not in ends and set(ends) <= set(ranks)

        return concerns

    def mend(self) -> None:
        """Everything is reached again."""
        self.segment.mend()
        self.rank_of.clear()
        self.resolver_file.write_text(CONFIGURATION)
        self.names.addresses, self.names.mute = {NAME: [self.segment.hosts[SERVER_HOST].address]}, False
