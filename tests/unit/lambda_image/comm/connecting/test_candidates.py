import pytest

from lambda_image.comm.channel.transport import Transport
from lambda_image.comm.connecting.candidates import (
    HEAD_START_S,
    RELAY_AFTER_S,
    RELAY_SOONER_S,
    STAGGER_S,
    Candidate,
    OwnEndpoints,
    candidates,
)
from lambda_image.comm.connecting.nat import Nat
from rendezvous_server.protocol import Endpoint, Peer

DIRECT, PUNCHED, RELAYED = Transport
RELAY = Candidate(RELAYED, None, RELAY_AFTER_S)
LOWER, OWN, HIGHER = 0, 1, 2  # ranks


def at(text: str) -> Endpoint:
    host, _, port = text.rpartition(":")
    return Endpoint(host.strip("[]"), int(port))


def place(local: str, observed: str | None = None, nat: Nat = Nat.ENDPOINT_INDEPENDENT) -> OwnEndpoints:
    return OwnEndpoints((at(local),), at(observed or local), nat if observed else Nat.NONE)


def peer(rank: int, *local: str, observed: str | None = None) -> Peer:
    return Peer(rank, 0, at(observed or local[0]), tuple(map(at, local)))


def plan(own: OwnEndpoints, other: Peer) -> list[tuple[str, Endpoint | None, float]]:
    return [(str(way.transport), way.endpoint, round(way.delay_s, 3)) for way in candidates(OWN, own, other)]


def test_behind_two_nats_both_dial_what_the_server_sees_and_then_take_a_relay() -> None:
    home = place("192.168.1.2:4000", "203.0.113.2:4000")
    for rank in (LOWER, HIGHER):
        # The private address is the own one as well: it says nothing about being neighbours.
        assert candidates(OWN, home, peer(rank, "192.168.1.2:5000", observed="203.0.113.6:5000")) == [
            Candidate(PUNCHED, at("203.0.113.6:5000"), 0.0),
            RELAY,
        ]


def test_behind_one_nat_neighbours_are_dialled_first_and_the_lower_rank_holds_back() -> None:
    own = place("192.168.1.2:4000", "203.0.113.2:4000")
    other = "192.168.1.3:5000"
    assert plan(own, peer(LOWER, other, observed="203.0.113.2:5000")) == [
        ("direct", at(other), 0.0),
        ("punched", at("203.0.113.2:5000"), HEAD_START_S),
        ("relayed", None, RELAY_AFTER_S),
    ]
    assert plan(own, peer(HIGHER, other, observed="203.0.113.2:5000"))[0] == ("direct", at(other), HEAD_START_S)


def test_behind_one_nat_other_subnets_are_tried_too_nearest_first() -> None:
    own = place("172.31.0.7:4000", "203.0.113.2:4000")
    local = ("172.31.16.9:4001", "172.31.0.9:4002", "172.31.0.7:4003", "172.31.0.7:4003")
    ways = plan(own, peer(LOWER, *local, observed="203.0.113.2:5000"))
    assert ways[:3] == [
        ("direct", at("172.31.0.7:4003"), 0.0),
        ("direct", at("172.31.0.9:4002"), STAGGER_S),
        ("direct", at("172.31.16.9:4001"), 2 * STAGGER_S),
    ]


def test_without_nats_neighbours_dial_once_and_others_from_both_sides() -> None:
    own = place("10.0.5.7:4000")
    assert plan(own, peer(LOWER, "10.0.5.8:5000"))[0] == ("direct", at("10.0.5.8:5000"), 0.0)
    assert plan(own, peer(HIGHER, "10.0.5.8:5000"))[0] == ("direct", at("10.0.5.8:5000"), HEAD_START_S)
    for rank in (LOWER, HIGHER):
        assert candidates(OWN, own, peer(rank, "10.9.9.9:5000")) == [
            Candidate(DIRECT, at("10.9.9.9:5000"), 0.0),
            RELAY,
        ]


def test_who_has_no_nat_is_dialled_directly_even_by_one_who_has() -> None:
    home, public = place("192.168.1.2:4000", "203.0.113.2:4000"), "198.51.100.9:5000"
    assert plan(home, peer(LOWER, public))[0] == ("direct", at(public), 0.0)
    assert plan(place(public), peer(LOWER, "192.168.1.2:4000", observed="203.0.113.2:4007"))[0] == (
        "punched",
        at("203.0.113.2:4007"),
        0.0,
    )


def test_ipv6_neighbours_share_64_bits() -> None:
    own = place("[2001:db8:1:2::5]:4001")
    assert plan(own, peer(HIGHER, "[2001:db8:1:2:ffff::1]:4009"))[0][2] == HEAD_START_S
    assert plan(own, peer(HIGHER, "[2001:db8:9::1]:4009"))[0][2] == 0.0


def test_another_family_is_left_to_the_relay() -> None:
    assert candidates(OWN, place("10.0.5.7:4001"), peer(LOWER, "[2001:db8::1]:4009")) == [RELAY]


def test_a_nat_that_punching_does_not_pass_makes_the_relay_start_sooner() -> None:
    symmetric = place("192.168.1.2:4001", "203.0.113.2:4077", Nat.ADDRESS_AND_PORT_DEPENDENT)
    assert candidates(OWN, symmetric, peer(LOWER, "192.168.1.2:4001", observed="203.0.113.6:4005"))[-1] == Candidate(
        RELAYED, None, RELAY_SOONER_S
    )


def test_the_own_endpoint_is_never_dialled() -> None:
    own = place("192.168.1.2:4001", "203.0.113.2:4001")
    assert plan(own, peer(LOWER, "192.168.1.2:4001", observed="203.0.113.2:4002"))[0][1] == at("203.0.113.2:4002")


def test_a_peer_that_announces_nothing_can_be_punched_or_relayed() -> None:
    other = Peer(LOWER, 0, at("203.0.113.6:4005"))
    assert candidates(OWN, place("10.0.5.7:4001"), other) == [Candidate(PUNCHED, at("203.0.113.6:4005"), 0.0), RELAY]


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_on_loopback_one_rank_dials_once_and_nothing_else_is_tried(host: str) -> None:
    own, other = place(f"{host}:4001"), f"{host}:4002"
    assert candidates(OWN, own, peer(LOWER, other, other)) == [Candidate(DIRECT, at(other), 0.0)]
    assert candidates(OWN, own, peer(HIGHER, other)) == []


def test_between_loopback_and_another_host_only_the_server_leads() -> None:
    relay = [Candidate(RELAYED, None, 0.0)]
    assert candidates(OWN, place("127.0.0.1:4001"), peer(LOWER, "10.0.5.7:4009")) == relay
    assert candidates(OWN, place("10.0.5.7:4001"), peer(LOWER, "127.0.0.1:4009")) == relay


def test_a_way_says_what_it_is() -> None:
    assert str(Candidate(PUNCHED, at("203.0.113.6:4005"), 0.0)) == "punched 203.0.113.6 port 4005"
    assert str(RELAY) == "relayed by the rendezvous server"


METADATA = ("169.254.169.254:8080", "169.254.170.2:8080", "100.100.100.200:8080", "168.63.129.16:32526")
NO_HOSTS = ("0.0.0.0:4000", "224.0.0.1:4000", "255.255.255.255:4000", "240.0.0.1:4000", "127.0.0.1:4000")
SERVICE_PORTS = ("172.31.0.9:22", "172.31.0.9:0", "172.31.0.9:1023")


@pytest.mark.parametrize("announced", [*METADATA, *NO_HOSTS, *SERVICE_PORTS])
def test_no_member_can_point_others_at_what_is_no_rank(announced: str) -> None:
    own, neighbour = place("172.31.0.7:4000", "203.0.113.2:4000"), "172.31.0.8:5000"
    ways = plan(own, peer(HIGHER, announced, neighbour, observed="203.0.113.2:5000"))
    assert [way for _, way, _ in ways] == [at(neighbour), at("203.0.113.2:5000"), None]


@pytest.mark.parametrize("observed", [*METADATA, *NO_HOSTS])
def test_nor_can_a_server_that_lies(observed: str) -> None:
    for own in (place("172.31.0.7:4000", "203.0.113.2:4000"), place("172.31.0.7:4000")):
        for local in ("172.31.0.8:5000", observed):
            assert at(observed) not in [way for _, way, _ in plan(own, peer(LOWER, local, observed=observed))]


@pytest.mark.parametrize(
    "announced", ["[fd00:ec2::254]:8080", "[fe80::1]:4000", "[ff02::1]:4000", "[::]:4000", "[::1]:4000"]
)
def test_nor_over_ipv6(announced: str) -> None:
    own = place("[2001:db8::7]:4000")
    assert at(announced) not in [way for _, way, _ in plan(own, peer(LOWER, announced, "[2001:db8::8]:5000"))]
    assert at(announced) not in [way for _, way, _ in plan(own, peer(LOWER, announced))]
