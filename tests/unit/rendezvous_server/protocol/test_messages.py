"""Requests and values: what they say of themselves, and which of them cannot be made."""

import pytest

from rendezvous_server import protocol as p
from rendezvous_server.protocol import Endpoint, Join, RejectCode, Relay, Topology
from tests.unit.rendezvous_server.protocol.conversations import LOCAL, RELAY


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"run_id": ""}, "run id of 0 bytes"),
        ({"run_id": "ä" * 101}, "run id of 202 bytes"),
        ({"world_size": 0}, "world size 0"),
        ({"world_size": p.MAX_WORLD_SIZE + 1}, "world size 10001"),
        ({"rank": 4}, "rank 4 in a world of 4"),
        ({"rank": -1}, "rank -1"),
        ({"attempt": -1}, "attempt -1"),
        ({"attempt": 65_536}, "attempt 65536"),
        ({"local": LOCAL * 5}, "10 local endpoints"),
    ],
)
def test_a_join_that_cannot_be_is_refused_where_it_is_made(change: dict, said: str) -> None:
    with pytest.raises(p.LocalProtocolError, match=said):
        Join(**{"run_id": "run-1", "rank": 1, "world_size": 4} | change)


@pytest.mark.parametrize(
    ("topology", "rank", "wants_all"), [(Topology.FULL, 1, True), (Topology.STAR, 1, False), (Topology.STAR, 0, True)]
)
def test_who_wants_all_rows(topology: Topology, rank: int, wants_all: bool) -> None:
    assert Join("run-1", rank, 4, topology=topology).wants_all is wants_all


@pytest.mark.parametrize(
    "change", [{"run_id": ""}, {"rank": -1}, {"peer": p.MAX_WORLD_SIZE}, {"peer_attempt": 65_536}, {"peer": 1}]
)
def test_a_relay_that_cannot_be_is_refused_where_it_is_made(change: dict) -> None:
    with pytest.raises(p.LocalProtocolError):
        Relay(**{"run_id": "run-1", "rank": 1, "attempt": 0, "peer": 2, "peer_attempt": 0} | change)


def test_the_token_is_that_of_the_pair() -> None:
    assert Relay("run-1", 3, 0, 1, 2).token == RELAY.token
    for other in (Relay("run-2", 1, 2, 3, 0), Relay("run-1", 1, 3, 3, 0), Relay("run-1", 1, 0, 3, 2)):
        assert other.token != RELAY.token


def test_codes_say_whether_to_try_again() -> None:
    assert {code for code in RejectCode if code.transient} == {RejectCode.LIMIT, RejectCode.TIMEOUT}


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        (("1.2.3.4", 5), Endpoint("1.2.3.4", 5)),
        (("::ffff:1.2.3.4", 5, 0, 0), Endpoint("1.2.3.4", 5)),
        (("fe80::1%eth0", 5, 0, 2), Endpoint("fe80::1", 5)),
        (("2001:db8::1", 5, 0, 0), Endpoint("2001:db8::1", 5)),
    ],
)
def test_endpoints_of_socket_addresses(address: tuple, endpoint: Endpoint) -> None:
    assert Endpoint.from_sockaddr(address) == endpoint
