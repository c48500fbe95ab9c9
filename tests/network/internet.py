"""A small internet on one machine: a public segment with the rendezvous server, and sites that come and go."""

import json
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from enum import StrEnum
from itertools import count
from typing import Self

from tests.network.namespace import Namespace
from tests.network.rank import Assignment, Result
from tests.network.site import Attachment, Site

SERVER_4, SERVER_6 = "198.51.100.1", "2001:db8:ffff::1"
PORT = 10_000
SERVER_KEY = "the deployment's key"


class Obstacle(StrEnum):
    """What happens to packets between two sites on the segment, as the end of a rule. Both can reach the server."""

    NO_TCP = "-p tcp -j DROP"  # UDP passes
    FORBIDDEN = "-j REJECT"
    NARROW = "-m length --length 1300: -j DROP"  # what a tunnel does whose ICMP somebody filters
    STALLS = "-p tcp -m connbytes --connbytes 20000: --connbytes-dir both --connbytes-mode bytes -j DROP"


class Internet:
    """`with Internet() as internet, internet.attached(site) as attachment: ...`, in the main thread: see Namespace."""

    def __init__(self) -> None:
        self._numbers = count()
        self._segment = Namespace()

    def __enter__(self) -> Self:
        try:
            self._segment.route()
            self._segment.ip(*(f"address add {address} dev lo" for address in (SERVER_4, SERVER_6)))
            self.serve(PORT)
            self._ranks = [self._segment.start("tests.network.rank") for _ in range(2)]
        except BaseException:
            self._segment.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._segment.close()

    def serve(self, port: int) -> "subprocess.Popen[str]":
        """A rendezvous server, as people run it; its probe port is the next one."""
        flags = ("--host", "::", "--port", str(port), "--http-port", "off")
        server = self._segment.start("rendezvous_server", *flags, RENDEZVOUS_KEY=SERVER_KEY)
        assert server.stdout is not None
        assert json.loads(server.stdout.readline())["event"] == "listening"
        return server

    def run(self, assignments: Sequence[Assignment]) -> list[Result]:
        """Let ranks run until each has paused or ended."""
        self.begin(*assignments)
        return self.results(assignment.rank for assignment in assignments)

    def begin(self, *assignments: Assignment) -> None:
        """Even and odd ranks in different processes."""
        for assignment in assignments:
            self._tell(assignment.rank, asdict(assignment))

    def proceed(self) -> None:
        """For those that pause."""
        for rank in range(2):
            self._tell(rank, {"proceed": True})

    def results(self, ranks: Iterable[int]) -> list[Result]:
        """The next one of each of these; in the order of ranks, if there are two ranks at work."""
        return [self._hear(rank) for rank in ranks]

    def _tell(self, rank: int, request: dict[str, object]) -> None:
        pipe = self._ranks[rank % 2].stdin
        assert pipe is not None
        pipe.write(json.dumps(request) + "\n")
        pipe.flush()

    def _hear(self, rank: int) -> Result:
        process = self._ranks[rank % 2]
        assert process.stdout is not None
        if not (line := process.stdout.readline()):
            raise RuntimeError(f"a process of ranks has ended with status {process.wait()}")
        return Result(**json.loads(line))

    def silence(self, port: int) -> None:
        """From now on nothing reaches this server, and nobody hears from it."""
        self._segment.rules("*filter", f"-A INPUT -p tcp --dport {port} -j DROP", "COMMIT")

    @contextmanager
    def attached(self, site: Site) -> Iterator[Attachment]:
        with ExitStack() as stack:
            yield Attachment(self._segment, site, next(self._numbers), stack)

    def obstruct(self, one: Attachment, other: Attachment, obstacle: Obstacle) -> None:
        """From now on. Raises NetworkError where the kernel lacks what that takes."""
        ways = ((one.public, other.public), (other.public, one.public))
        rules = (f"-A FORWARD -s {source} -d {destination} {obstacle}" for source, destination in ways)
        self._segment.rules("*filter", *rules, "COMMIT", ipv6=one.site.ipv6)
