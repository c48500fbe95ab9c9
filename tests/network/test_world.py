"""One run with a rank at each kind of site: every rank knows its NAT, every pair goes its own way."""

from contextlib import ExitStack
from itertools import combinations

from lambda_image.comm.connecting.nat import Nat
from tests.network.cases import DIRECT, PUBLIC, PUNCHED, RELAYED, REWRITING, SYMMETRIC
from tests.network.internet import PORT, SERVER_4, SERVER_KEY, Internet
from tests.network.rank import Assignment
from tests.network.site import Site, Translation

TWO_HOSTS = Site(Translation.PRESERVING, hosts=2)
NATS = {
    None: Nat.NONE,
    Translation.PRESERVING: Nat.ENDPOINT_INDEPENDENT,
    Translation.REWRITING: Nat.ENDPOINT_INDEPENDENT,
    Translation.RANDOM: Nat.ADDRESS_AND_PORT_DEPENDENT,
}
SITES = (PUBLIC, TWO_HOSTS, REWRITING, SYMMETRIC, SYMMETRIC)


def test_every_pair_of_a_mixed_world_connects(internet: Internet):
    sites = [(number, site) for number, site in enumerate(SITES) for _ in range(site.hosts)]
    with ExitStack() as stack:
        attachments = [stack.enter_context(internet.attached(site)) for site in SITES]
        hosts = [host.path for attachment in attachments for host in attachment.hosts]
        world = [
            Assignment(host, f"{SERVER_4}:{PORT}", SERVER_KEY, "a mixed world", rank, len(hosts))
            for rank, host in enumerate(hosts)
        ]
        results = sorted(internet.run(world), key=lambda result: result.rank)
    assert [result.error for result in results] == [None] * len(hosts)
    assert all(result.intact for result in results)
    assert [result.nat for result in results] == [NATS[site.translation] for _, site in sites]
    for one, other in combinations(range(len(hosts)), 2):
        way = best_way(*sites[one], *sites[other])
        assert (results[one].ways[str(other)], results[other].ways[str(one)]) == (way, way), f"ranks {one} and {other}"


def best_way(place: int, site: Site, other_place: int, other: Site) -> str:
    if place == other_place or PUBLIC in (site, other):
        return DIRECT
    return RELAYED if SYMMETRIC in (site, other) else PUNCHED
