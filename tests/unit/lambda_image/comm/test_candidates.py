import pytest

from lambda_image.comm.candidates import STAGGER_S, Candidate, Transport, candidates
from rendezvous_server.protocol import Endpoint, Peer

OWN = (Endpoint("10.0.5.7", 40000),)


def ways(own: tuple[Endpoint, ...], observed: str, *local: str) -> list[str]:
    """The plan's hosts for a peer that announced these hosts, all with port 9."""
    peer = Peer(0, 0, Endpoint(observed, 55555), tuple(Endpoint(host, 9) for host in local))
    return [way.endpoint.host for way in candidates(own, peer)]


def test_nearest_first_then_the_observed_host() -> None:
    assert ways(OWN, "203.0.113.4", "172.16.0.1", "10.0.5.99", "10.0.5.7") == [
        "10.0.5.7",
        "10.0.5.99",
        "172.16.0.1",
        "203.0.113.4",
    ]


def test_starts_are_staggered_and_direct() -> None:
    peer = Peer(0, 0, Endpoint("203.0.113.4", 55555), (Endpoint("10.0.5.7", 9), Endpoint("10.0.5.7", 10)))
    assert candidates(OWN, peer) == [
        Candidate(Transport.DIRECT, Endpoint(host, port), index * STAGGER_S)
        for index, (host, port) in enumerate(
            [("10.0.5.7", 9), ("10.0.5.7", 10), ("203.0.113.4", 9), ("203.0.113.4", 10)]
        )
    ]


def test_an_address_is_tried_once_even_if_the_server_saw_the_same() -> None:
    assert ways(OWN, "10.0.5.99", "10.0.5.99") == ["10.0.5.99"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_loopback_means_something_on_loopback_only(host: str) -> None:
    assert ways(OWN, host, host) == []
    assert ways((Endpoint(host, 1),), host, host) == [host]


def test_ipv6_neighbours_share_64_bits() -> None:
    own = (Endpoint("2001:db8:1:2::5", 1),)
    assert ways(own, "2001:db8:9::1", "2001:db8:9::1", "2001:db8:1:2:ffff::1") == [
        "2001:db8:1:2:ffff::1",
        "2001:db8:9::1",
    ]


def test_a_peer_that_announces_nothing_cannot_be_reached_directly() -> None:
    assert ways(OWN, "203.0.113.4") == []
