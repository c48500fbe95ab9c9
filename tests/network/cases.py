"""The networks in which two ranks must find each other, and what came of trying it."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from lambda_image.comm.channel.transport import Transport
from tests.network.internet import PORT, SERVER_4, SERVER_6, SERVER_KEY, Internet, Obstacle
from tests.network.namespace import Namespace, NetworkError
from tests.network.rank import Assignment, Result
from tests.network.site import Site, Stray, Translation

LIMIT_S = 5.0  # from when both have joined until both have a channel: what the project promises
DIRECT, PUNCHED, RELAYED = Transport.DIRECT, Transport.PUNCHED, Transport.RELAYED
# Where punching has to be lucky: SYNs must cross, or not be lost. Or one must come from the right port of 64,512: a
# symmetric NAT takes another after each RST, of which there are many in a second (seen once in 100 tries).
EITHER = (PUNCHED, RELAYED)
COLD_START_S = 3.0

PRESERVING = Site(Translation.PRESERVING)
REWRITING = Site(Translation.REWRITING)
RESETTING = Site(Translation.PRESERVING, Stray.RESET)
SYMMETRIC = Site(Translation.RANDOM)
PUBLIC = Site(None)
IPV6 = Site(Translation.NONE, ipv6=True)


@dataclass(frozen=True)
class Case:
    """Two hosts, at one site or two, and the ways by which ranks on them may end connected: the best there, or several
    where it is a matter of luck."""

    name: str
    sites: tuple[Site, ...]
    ways: tuple[Transport, ...]
    between: Obstacle | None = None
    apart_s: float = 0.0  # between the starts of the two ranks
    max_segment: int | None = None  # their setting


@dataclass(frozen=True)
class Try:
    way: str | None
    connect_s: float  # from when both ranks knew of each other until both had the channel
    problem: str | None


CASES = (
    Case("both behind one NAT, which does not lead back in", (Site(Translation.PRESERVING, hosts=2),), (DIRECT,)),
    Case("both behind one symmetric NAT", (Site(Translation.RANDOM, hosts=2),), (DIRECT,)),
    Case("both public", (PUBLIC, PUBLIC), (DIRECT,)),
    Case("one public, one behind a NAT", (PUBLIC, PRESERVING), (DIRECT,)),
    Case("one public, one behind a symmetric NAT", (PUBLIC, SYMMETRIC), (DIRECT,)),
    Case("IPv6, firewalls that let nothing in unasked", (IPV6, IPV6), (DIRECT,)),
    Case("NATs that preserve ports, same private address", (PRESERVING, PRESERVING), (PUNCHED,)),
    Case("NATs that rewrite ports", (REWRITING, REWRITING), (PUNCHED,)),
    Case("one NAT of each kind", (PRESERVING, REWRITING), (PUNCHED,)),
    Case("one NAT of each, 40 ms one way", (replace(PRESERVING, delay_ms=40), REWRITING), (PUNCHED,)),
    Case("one NAT of each, one rank starts 3 s later", (PRESERVING, REWRITING), (PUNCHED,), apart_s=COLD_START_S),
    Case("one NAT of each, 20 ms one way, 1 % loss", (replace(PRESERVING, delay_ms=20, loss=0.01), REWRITING), EITHER),
    Case("one NAT of each, 5 ms one way, 5 % loss", (replace(PRESERVING, delay_ms=5, loss=0.05), REWRITING), EITHER),
    Case("one NAT answers unexpected SYNs with RST", (REWRITING, RESETTING), EITHER),
    Case("both NATs answer with RST", (RESETTING, replace(REWRITING, stray=Stray.RESET)), EITHER),
    Case("both NATs answer with RST, 5 ms one way", (replace(RESETTING, delay_ms=5), RESETTING), EITHER),
    Case("one symmetric NAT", (PRESERVING, SYMMETRIC), (RELAYED,)),
    Case("one symmetric NAT, the other answers with RST", (SYMMETRIC, RESETTING), EITHER),
    Case("two symmetric NATs", (SYMMETRIC, SYMMETRIC), (RELAYED,)),
    Case("two symmetric NATs, 40 ms one way", (replace(SYMMETRIC, delay_ms=40), SYMMETRIC), (RELAYED,)),
    Case("only UDP passes between the sites", (PRESERVING, PRESERVING), (RELAYED,), Obstacle.NO_TCP),
    Case("nothing passes between public hosts", (PUBLIC, PUBLIC), (RELAYED,), Obstacle.FORBIDDEN),
    Case("NATs, the path stalls after 20 kB", (PRESERVING, PRESERVING), (RELAYED,), Obstacle.STALLS),
    Case("public hosts, the path stalls after 20 kB", (PUBLIC, PUBLIC), (RELAYED,), Obstacle.STALLS),
    Case("NATs, large packets vanish", (PRESERVING, PRESERVING), (RELAYED,), Obstacle.NARROW),
    Case(
        "NATs, large packets vanish, TCP_MAX_SEGMENT=1200",
        (PRESERVING, PRESERVING),
        (PUNCHED,),
        Obstacle.NARROW,
        max_segment=1200,
    ),
)


def lacking(case: Case) -> str | None:
    """What this kernel would need to have for the case, if it has not."""
    if any(site.delay_ms or site.loss for site in case.sites) and not Path("/dev/net/tun").exists():
        return "TUN devices (/dev/net/tun)"
    if case.between is not None:
        namespace = Namespace()
        try:
            namespace.rules("*filter", f"-A FORWARD {case.between}", "COMMIT")
        except NetworkError as error:
            return f"a rule ({error})"
        finally:
            namespace.close()
    return None


def play(internet: Internet, cases: Sequence[Case], tries: int, at_once: int) -> dict[Case, list[Try]]:
    """All cases at the same time, and of each so many tries; in every second one the hosts change roles."""
    results = defaultdict[str, list[Result]](list)
    with ExitStack() as stack:
        networks = [(case, _hosts(internet, case, stack)) for case in cases]
        for first in range(0, tries, at_once):
            numbers = range(first, min(first + at_once, tries))
            ranks = [
                _assignment(case, number, rank, hosts)
                for case, hosts in networks
                for number in numbers
                for rank in range(2)
            ]
            for result in internet.run(ranks):
                results[result.run_id].append(result)
    return {case: [judge(case, results[_run_id(case, number)]) for number in range(tries)] for case in cases}


def _hosts(internet: Internet, case: Case, stack: ExitStack) -> list[Namespace]:
    attachments = [stack.enter_context(internet.attached(site)) for site in case.sites]
    if case.between:
        internet.obstruct(attachments[0], attachments[1], case.between)
    return [host for attachment in attachments for host in attachment.hosts]


def _assignment(case: Case, number: int, rank: int, hosts: Sequence[Namespace]) -> Assignment:
    return Assignment(
        namespace=hosts[(number + rank) % 2].path,
        endpoint=f"[{SERVER_6}]:{PORT}" if case.sites[0].ipv6 else f"{SERVER_4}:{PORT}",
        rendezvous_key=SERVER_KEY,
        run_id=_run_id(case, number),
        rank=rank,
        max_segment=case.max_segment,
        delay_s=rank * case.apart_s,
    )


def _run_id(case: Case, number: int) -> str:
    return f"{case.name}, try {number}"


def judge(case: Case, pair: Sequence[Result]) -> Try:
    """What the two ranks say, against what is promised."""
    ways = [way for result in pair for way in result.ways.values()]
    seconds = max(result.connected_at for result in pair) - max(result.known_at for result in pair)
    problem = None
    if errors := [f"rank {result.rank}: {result.error}" for result in pair if result.error]:
        problem = "; ".join(errors)
    elif ways[0] != ways[1]:
        problem = f"one rank says {ways[0]}, the other {ways[1]}"
    elif ways[0] not in case.ways:
        problem = f"{ways[0]}; {' or '.join(case.ways)} was possible"
    elif not all(result.intact for result in pair):
        problem = f"{ways[0]}, but what arrived is not what was sent"
    elif seconds > LIMIT_S:
        problem = f"{ways[0]} after {seconds:.1f} s"
    return Try(ways[0] if ways else None, seconds, problem)
