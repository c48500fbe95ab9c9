"""The rank's side, in conversation with the server's, and what it refuses to read."""

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rendezvous_server import protocol as p
from rendezvous_server.protocol import ClientConnection, Endpoint, Join, Peer, ProbeConnection, RejectCode
from tests.unit.rendezvous_server.protocol.conversations import (
    JOIN,
    KEY,
    LOCAL,
    NONCE,
    OBSERVED,
    PROBE_PORT,
    cut,
    frame,
    hear,
    joined_pair,
    peer,
    relaying,
    row,
    server,
)

# Joining


def test_a_join_arrives_as_it_was_sent() -> None:
    client, end = joined_pair()
    assert client.state is p.ClientState.MEMBER
    assert end.state is p.ServerState.MEMBER
    assert client.data_to_send() == b""
    assert end.data_to_send() == b""


@pytest.mark.parametrize("version", [0, 2])
def test_a_version_that_was_not_offered_is_an_error(version: int) -> None:
    with pytest.raises(p.RemoteProtocolError, match=f"version {version}"):
        list(ClientConnection(JOIN).receive_data(frame(0x30, bytes([version]) + NONCE)))


def test_fields_that_a_later_server_appends_are_ignored() -> None:
    client, end = ClientConnection(JOIN), server()
    list(end.receive_data(client.data_to_send()))
    list(client.receive_data(frame(0x30, end.data_to_send()[3:] + b"more")))
    joined = p.encode_joined(OBSERVED, 1, 1, LOCAL[0])
    [event] = client.receive_data(frame(0x31, joined[3:] + b"more"))
    assert event == p.Joined(OBSERVED, 1.0, 1.0, LOCAL[0])


# Peers


def test_peers_come_are_replaced_and_leave() -> None:
    client, _ = joined_pair()
    first, second, newer = peer(0, 0, *LOCAL), peer(3), peer(3, 1)
    wire = p.encode_peers([row(first), row(second), row(Peer(1, 2, OBSERVED, LOCAL))])  # the last is the rank itself
    assert list(client.receive_data(wire)) == [p.PeerJoined(first), p.PeerJoined(second)]
    assert list(client.receive_data(wire)) == []  # nothing new
    assert list(client.receive_data(p.encode_peers([row(newer)]))) == [p.PeerReplaced(second, newer)]
    assert client.peers == {0: first, 3: newer}
    assert list(client.receive_data(p.encode_left([(3, 0), (2, 0)]))) == []  # the replaced one; one that is not known
    assert list(client.receive_data(p.encode_left([(3, 1), (0, 0)]))) == [p.PeerLeft(newer), p.PeerLeft(first)]
    assert client.peers == {}


def test_complete_is_told() -> None:
    client, _ = joined_pair()
    assert list(client.receive_data(p.COMPLETE_FRAME)) == [p.GroupComplete()]
    assert client.complete


def test_a_rank_beyond_the_world_is_an_error() -> None:
    client, _ = joined_pair()
    stranger = p.encode_row(Join("run-1", 4, 5), OBSERVED)
    with pytest.raises(p.RemoteProtocolError, match="rank 4 in a world of 4"):
        list(client.receive_data(p.encode_peers([stranger])))


# Liveness and the end


def test_a_ping_of_the_server_is_answered_by_itself() -> None:
    client, end = joined_pair()
    assert list(client.receive_data(p.PING_FRAME)) == []
    assert list(end.receive_data(client.data_to_send())) == []
    assert end.state is p.ServerState.MEMBER


def test_a_ping_of_the_rank_comes_back_with_its_token() -> None:
    client, end = joined_pair()
    client.ping(b"token")
    assert list(end.receive_data(client.data_to_send())) == []
    assert list(client.receive_data(end.data_to_send())) == [p.Pong(b"token")]
    with pytest.raises(p.LocalProtocolError, match="17 bytes"):
        client.ping(bytes(17))
    with pytest.raises(p.RemoteProtocolError, match="17 bytes"):
        list(end.receive_data(frame(0x20, bytes(17))))


def test_leave_ends_both_sides() -> None:
    client, end = joined_pair()
    client.leave()
    assert list(end.receive_data(client.data_to_send())) == [p.LeaveReceived()]
    assert end.state is p.ServerState.ENDED
    assert list(client.receive_data(p.COMPLETE_FRAME)) == []  # what crossed it on the way
    assert client.receive_eof() == []


@pytest.mark.parametrize("step", [ClientConnection.leave, ClientConnection.ping])
def test_what_only_a_member_can(step: Callable[[ClientConnection], None]) -> None:
    client = ClientConnection(JOIN)
    with pytest.raises(p.LocalProtocolError, match="HELLO"):
        step(client)
    assert client.state is p.ClientState.HELLO


@pytest.mark.parametrize(
    ("wire", "event"),
    [
        (p.encode_expired([0, 3], "2 missing"), p.Expired((0, 3), "2 missing")),
        (p.encode_replaced(3, "newer"), p.Replaced(3, "newer")),
        (p.encode_closing("bye"), p.ServerClosing("bye")),
        (p.encode_rejected(RejectCode.LIMIT, "slow"), p.Rejected(RejectCode.LIMIT, "slow")),
    ],
)
def test_last_words(wire: bytes, event: p.ClientEvent) -> None:
    client, _ = joined_pair()
    assert list(client.receive_data(wire + p.COMPLETE_FRAME)) == [event]
    assert client.state is p.ClientState.ENDED
    assert client.receive_eof() == []


def test_a_lost_connection_is_told_once() -> None:
    client, _ = joined_pair()
    assert client.receive_eof() == [p.ConnectionLost()]
    assert client.receive_eof() == []


# NAT probes


def probing(local: Endpoint = LOCAL[0], probe_port: int = PROBE_PORT) -> tuple[ClientConnection, list[p.ClientEvent]]:
    """A client that comes from `local`, and what it says of the server's challenge."""
    client, end = ClientConnection(JOIN, probe_from=local), server(None, probe_port)
    list(end.receive_data(client.data_to_send()))
    return client, list(client.receive_data(end.data_to_send()))


def test_behind_a_nat_a_probe_is_offered_before_the_join() -> None:
    client, events = probing()
    assert events == [p.ProbeOffered(PROBE_PORT, NONCE)]
    assert client.data_to_send() == b""
    client.proceed()
    end = server(None)
    list(end.receive_data(p.MAGIC + b"\x01"))
    assert list(end.receive_data(client.data_to_send())) == [p.JoinRequested(JOIN)]
    end.accept(30, 10, OBSERVED)
    end_wire = end.data_to_send()
    assert list(client.receive_data(end_wire[end_wire.index(b"\x31") :]))[-1] == p.Joined(OBSERVED, 30, 10, OBSERVED)
    with pytest.raises(p.LocalProtocolError, match="MEMBER"):
        client.proceed()


@pytest.mark.parametrize(("local", "probe_port"), [(OBSERVED, PROBE_PORT), (LOCAL[0], 0)])
def test_without_a_nat_or_a_probe_port_the_join_goes_out_at_once(local: Endpoint, probe_port: int) -> None:
    client, events = probing(local, probe_port)
    assert events == []
    assert client.data_to_send() != b""


def test_a_server_that_does_not_know_probes_is_asked_to_join_at_once() -> None:
    client = ClientConnection(JOIN, probe_from=LOCAL[0])
    assert list(client.receive_data(frame(0x30, b"\x01" + NONCE))) == []
    assert client.data_to_send() != b""


def test_a_server_that_is_tired_of_waiting_for_the_join_says_so() -> None:
    client, _ = probing()
    assert list(client.receive_data(p.encode_rejected(RejectCode.TIMEOUT, "late"))) == [
        p.Rejected(RejectCode.TIMEOUT, "late")
    ]


# Relays


def test_once_spliced_all_bytes_are_payload() -> None:
    client, end = relaying()
    end.splice()
    wire = end.data_to_send()
    assert list(client.receive_data(wire[:-1])) == []
    assert list(client.receive_data(wire[-1:] + b"\x7fpayload")) == [p.Spliced(b"\x7fpayload")]
    assert client.data_to_send() == b""
    assert client.receive_eof() == []


@pytest.mark.parametrize(
    "wire",
    [p.encode_expired([3], "late"), p.encode_replaced(2, "again"), p.encode_rejected(RejectCode.UNKNOWN, "who?")],
)
def test_a_relay_that_does_not_come_about_has_a_reason(wire: bytes) -> None:
    client, _ = relaying()
    [event] = client.receive_data(wire)
    assert isinstance(event, p.Expired | p.Replaced | p.Rejected)
    assert client.state is p.ClientState.ENDED


# Bytes that mean nothing


@pytest.mark.parametrize(
    "wire",
    [
        frame(0x7F),  # unknown type
        frame(0x34),  # COMPLETE before joining
        frame(0x30, b"\x01"),  # a challenge without its nonce
    ],
)
def test_the_rank_refuses(wire: bytes) -> None:
    with pytest.raises(p.RemoteProtocolError):
        list(ClientConnection(JOIN).receive_data(wire))


@pytest.mark.parametrize(
    "wire",
    [
        frame(0x32, struct.pack("!HHB", 0, 0, 0)),  # a row without an endpoint
        frame(0x32, struct.pack("!HHBBH", 0, 0, 1, 5, 80)),  # address family 5
        frame(0x32, struct.pack("!HHBBHH", 0, 0, 1, 4, 80, 1)),  # half an address
        frame(0x32, b"\0"),  # part of a row
        frame(0x33, b"\0"),
        frame(0x38),  # a rejection without a code
        frame(0x38, b"\xff"),  # an unknown code
        frame(0x39, b"\0\x02\0"),  # fewer ranks than announced
        frame(0x31),  # JOINED twice
    ],
)
def test_a_member_refuses(wire: bytes) -> None:
    client, _ = joined_pair()
    with pytest.raises(p.RemoteProtocolError):
        list(client.receive_data(wire))


# Properties


SERVER_TALK = b"".join(
    [
        frame(0x30, b"\x01" + NONCE),
        p.encode_joined(OBSERVED, 30, 10),
        p.encode_peers([row(peer(0, 0, *LOCAL)), row(peer(2))]),
        p.PING_FRAME,
        p.encode_left([(2, 0)]),
        p.encode_peers([row(peer(0, 1)), row(peer(3))]),
        p.COMPLETE_FRAME,
        p.encode_expired([2], "rank 2 is missing"),
        b"ignored",
    ]
)


@given(st.lists(st.integers(0, 10_000), max_size=40), st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255))))
def test_how_the_bytes_are_cut_changes_nothing_for_the_rank(places: list[int], flips: list[tuple[int, int]]) -> None:
    talk = bytearray(SERVER_TALK)
    for at, bits in flips[:3]:
        talk[at % len(talk)] ^= bits
    whole, parts = ClientConnection(JOIN, KEY), ClientConnection(JOIN, KEY)
    expected = hear(whole.receive_data, [bytes(talk)])
    assert hear(parts.receive_data, cut(bytes(talk), places)) == expected
    assert parts.data_to_send() == whole.data_to_send()
    assert parts.peers == whole.peers


@given(st.lists(st.binary(max_size=600), max_size=5))
def test_no_bytes_raise_anything_but_the_protocols_error_at_the_rank(chunks: list[bytes]) -> None:
    for make in (
        lambda: joined_pair()[0],
        lambda: relaying()[0],
        lambda: ClientConnection(JOIN, probe_from=LOCAL[0]),
        lambda: ProbeConnection(NONCE),
    ):
        hear(make().receive_data, chunks)


@given(st.integers(0x10, 0x4F), st.binary(max_size=400))
def test_no_body_raises_anything_but_the_protocols_error_at_the_rank(kind: int, body: bytes) -> None:
    hear(joined_pair()[0].receive_data, [frame(kind, body)])
    hear(relaying()[0].receive_data, [frame(kind, body)])
    hear(ClientConnection(JOIN, probe_from=LOCAL[0]).receive_data, [frame(0x30, b"\x01" + NONCE + body)])
    hear(ProbeConnection(NONCE).receive_data, [frame(0x30, b"\x01" + NONCE), frame(kind, body)])
