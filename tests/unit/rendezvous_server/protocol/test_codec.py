"""What is written is what is read, and what cannot be written is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rendezvous_server import protocol as p
from rendezvous_server.protocol import ClientConnection, Endpoint, Join, Peer, Topology
from tests.unit.rendezvous_server.protocol.conversations import LOCAL, OBSERVED, joined_pair


def test_the_pairing_address_is_the_c_struct() -> None:
    assert p.pairing_address(Endpoint("1.2.3.4", 0x5678)) == b"\x01\x02\x03\x04\x56\x78\0\0"
    with pytest.raises(p.LocalProtocolError, match="IPv6"):
        p.pairing_address(Endpoint("2001:db8::1", 1))


@pytest.mark.parametrize("endpoint", [Endpoint("example.org", 1), Endpoint("10.0.0.1", 65_536)])
def test_endpoints_that_cannot_be_carried_are_refused(endpoint: Endpoint) -> None:
    with pytest.raises(p.LocalProtocolError):
        ClientConnection(Join("run-1", 0, 1, local=(endpoint,)))


def test_the_longest_join_fits() -> None:
    join = Join("r" * p.MAX_RUN_ID, 9_999, 10_000, 65_535, (Endpoint("2001:db8::1", 65_535),) * 8, Topology.STAR)
    joined_pair(join)


def test_a_table_larger_than_a_frame_is_several_frames() -> None:
    world = p.MAX_WORLD_SIZE
    joins = [Join("run-1", rank, world, local=LOCAL) for rank in range(world)]
    wire = p.encode_peers(p.encode_row(join, OBSERVED) for join in joins)
    assert len(wire) > 5 * p.MAX_FRAME
    client, _ = joined_pair(Join("run-1", 0, world))
    events = list(client.receive_data(wire))
    assert events == [p.PeerJoined(Peer(rank, 0, OBSERVED, LOCAL)) for rank in range(1, world)]


def test_nothing_to_announce_is_no_bytes() -> None:
    assert p.encode_peers([]) == b""
    assert p.encode_left([]) == b""


def test_a_long_reason_is_cut() -> None:
    client, _ = joined_pair()
    [event] = client.receive_data(p.encode_closing("ä" * 1_000))
    assert event == p.ServerClosing("ä" * 500)


hosts = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6).filter(lambda a: a.ipv4_mapped is None)).map(str)
endpoints = st.builds(Endpoint, hosts, st.integers(0, 65_535))
locals_ = st.lists(endpoints, max_size=p.MAX_LOCAL_ENDPOINTS).map(tuple)


@st.composite
def joins(draw: st.DrawFn) -> Join:
    world = draw(st.integers(1, p.MAX_WORLD_SIZE))
    return Join(
        draw(st.text(min_size=1, max_size=50)),
        draw(st.integers(0, world - 1)),
        world,
        draw(st.integers(0, p.MAX_ATTEMPT)),
        draw(locals_),
        draw(st.sampled_from(Topology)),
    )


@given(joins())
def test_any_join_arrives_as_it_was_sent(join: Join) -> None:
    joined_pair(join)
