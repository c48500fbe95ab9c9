"""Conversations between two connections over a fake wire, and every way in which bytes can be wrong."""

import struct
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rendezvous_server import protocol as p
from rendezvous_server.protocol import (
    ClientConnection,
    Endpoint,
    Join,
    Peer,
    ProbeConnection,
    RejectCode,
    Relay,
    RelayConnection,
    ServerConnection,
    Topology,
)

KEY = b"deployment key"
NONCE = bytes(range(p.NONCE_SIZE))
OBSERVED = Endpoint("198.51.100.7", 40_001)
LOCAL = (Endpoint("10.0.0.5", 41_000), Endpoint("2001:db8::5", 41_000))
PROBE_PORT = 10_001
JOIN = Join("run-1", rank=1, world_size=4, attempt=2, local=LOCAL)
RELAY = Relay("run-1", rank=1, attempt=2, peer=3, peer_attempt=0)
GREETED = p.HelloReceived(NONCE)


def server(key: bytes | None = KEY, probe_port: int = PROBE_PORT) -> ServerConnection:
    return ServerConnection(key, lambda: NONCE, OBSERVED, probe_port)


def challenged(client: ClientConnection | RelayConnection, key: bytes | None = KEY) -> ServerConnection:
    """The server's end of a client that has made its request, which lies in `data_to_send`."""
    end = server(key)
    assert list(end.receive_data(client.data_to_send())) == [GREETED]
    assert list(client.receive_data(end.data_to_send())) == []
    return end


def joined_pair(join: Join = JOIN, key: bytes | None = KEY) -> tuple[ClientConnection, ServerConnection]:
    """A client that is a member, and its server end."""
    client = ClientConnection(join, key)
    end = challenged(client, key)
    assert list(end.receive_data(client.data_to_send())) == [p.JoinRequested(join)]
    end.accept(30.5, 10)
    assert list(client.receive_data(end.data_to_send())) == [p.Joined(OBSERVED, 30.5, 10.0)]
    return client, end


def peer(rank: int, attempt: int = 0, *local: Endpoint) -> Peer:
    return Peer(rank, attempt, Endpoint("203.0.113.9", 50_000 + rank), local)


def row(peer: Peer) -> bytes:
    return p.encode_row(Join("run-1", peer.rank, 4, peer.attempt, peer.local), peer.observed)


def frame(kind: int, body: bytes = b"") -> bytes:
    return struct.pack("!BH", kind, len(body)) + body


# Joining


def test_a_join_arrives_as_it_was_sent() -> None:
    client, end = joined_pair()
    assert client.state is p.ClientState.MEMBER
    assert end.state is p.ServerState.MEMBER
    assert client.data_to_send() == b""
    assert end.data_to_send() == b""


def test_a_join_may_come_byte_by_byte() -> None:
    client = ClientConnection(JOIN)
    end = challenged(client, None)
    *events, last = [list(end.receive_data(bytes((byte,)))) for byte in client.data_to_send()]
    assert events == [[]] * len(events)
    assert last == [p.JoinRequested(JOIN)]


@pytest.mark.parametrize("client_key", [None, KEY])
def test_a_server_without_a_key_ignores_the_proof(client_key: bytes | None) -> None:
    for client, event in (
        (ClientConnection(JOIN, client_key), p.JoinRequested(JOIN)),
        (RelayConnection(RELAY, client_key), p.RelayRequested(RELAY)),
    ):
        end = challenged(client, None)
        assert list(end.receive_data(client.data_to_send())) == [event]


@pytest.mark.parametrize(("client_key", "said"), [(None, "is missing"), (b"other", "another key")])
@pytest.mark.parametrize("client_class", [ClientConnection, RelayConnection])
def test_a_bad_proof_is_refused_with_a_reason(client_class: Callable, client_key: bytes | None, said: str) -> None:
    client = client_class(JOIN if client_class is ClientConnection else RELAY, client_key)
    end = challenged(client)
    [refused] = end.receive_data(client.data_to_send())
    assert isinstance(refused, p.Refused)
    assert said in refused.reason
    assert "RENDEZVOUS_KEY" in refused.reason
    end.reject(refused.code, refused.reason)
    assert list(client.receive_data(end.data_to_send())) == [p.Rejected(RejectCode.BAD_PROOF, refused.reason)]
    assert list(end.receive_data(b"whatever")) == []


@pytest.mark.parametrize("client", [ClientConnection(JOIN, KEY), RelayConnection(RELAY, KEY)])
def test_a_proof_is_worth_nothing_under_another_nonce(client: ClientConnection | RelayConnection) -> None:
    challenged(client)
    replayed = ServerConnection(KEY, lambda: bytes(p.NONCE_SIZE), OBSERVED)
    list(replayed.receive_data(p.MAGIC + b"\x01"))
    [refused] = replayed.receive_data(client.data_to_send())
    assert isinstance(refused, p.Refused)


@given(st.data())
def test_the_proof_covers_every_byte_of_the_request(data: st.DataObject) -> None:
    client = data.draw(st.sampled_from([ClientConnection(JOIN, KEY), RelayConnection(RELAY, KEY)]))
    end = challenged(client)
    sent = bytearray(client.data_to_send())
    at = data.draw(st.integers(4, len(sent) - 1))  # behind header and proof length
    sent[at] ^= data.draw(st.integers(1, 255))
    try:
        [event] = end.receive_data(bytes(sent))
    except p.RemoteProtocolError:
        return
    assert isinstance(event, p.Refused)


def test_a_newer_client_is_answered_in_this_version() -> None:
    end = server()
    list(end.receive_data(p.MAGIC))
    assert end.dialect is None
    list(end.receive_data(b"\x09"))
    assert end.dialect == "group"
    client = ClientConnection(JOIN)
    assert end.data_to_send()[3:4] == b"\x01"
    assert list(client.receive_data(frame(0x30, b"\x01" + NONCE))) == []


def test_version_zero_is_refused() -> None:
    end = server()
    [refused] = end.receive_data(p.MAGIC + b"\0")
    assert isinstance(refused, p.Refused)
    end.reject(refused.code, refused.reason)
    assert list(ClientConnection(JOIN).receive_data(end.data_to_send())) == [
        p.Rejected(RejectCode.VERSION, refused.reason)
    ]


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


@pytest.mark.parametrize("endpoint", [Endpoint("example.org", 1), Endpoint("10.0.0.1", 65_536)])
def test_endpoints_that_cannot_be_carried_are_refused(endpoint: Endpoint) -> None:
    with pytest.raises(p.LocalProtocolError):
        ClientConnection(Join("run-1", 0, 1, local=(endpoint,)))


def test_the_longest_join_fits() -> None:
    join = Join("r" * p.MAX_RUN_ID, 9_999, 10_000, 65_535, (Endpoint("2001:db8::1", 65_535),) * 8, Topology.STAR)
    joined_pair(join)


@pytest.mark.parametrize(
    ("topology", "rank", "wants_all"), [(Topology.FULL, 1, True), (Topology.STAR, 1, False), (Topology.STAR, 0, True)]
)
def test_who_wants_all_rows(topology: Topology, rank: int, wants_all: bool) -> None:
    assert Join("run-1", rank, 4, topology=topology).wants_all is wants_all


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


def test_a_long_reason_is_cut() -> None:
    client, _ = joined_pair()
    [event] = client.receive_data(p.encode_closing("ä" * 1_000))
    assert event == p.ServerClosing("ä" * 500)


def test_codes_say_whether_to_try_again() -> None:
    assert {code for code in RejectCode if code.transient} == {RejectCode.LIMIT, RejectCode.TIMEOUT}


def test_an_answer_needs_a_request() -> None:
    end = server()
    for answer in (lambda: end.accept(1, 1), end.confirm, end.splice):
        with pytest.raises(p.LocalProtocolError, match="NEW"):
            answer()


def test_reject_is_said_once() -> None:
    _, end = joined_pair()
    end.reject(RejectCode.TIMEOUT, "silent")
    assert end.data_to_send() == p.encode_rejected(RejectCode.TIMEOUT, "silent")
    end.reject(RejectCode.TIMEOUT, "silent")
    assert end.data_to_send() == b""


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


def test_a_probe_is_answered_with_what_was_seen() -> None:
    probe, end = ProbeConnection(bytes(p.NONCE_SIZE)), server()
    assert list(end.receive_data(probe.data_to_send())) == [GREETED, p.ProbeReceived(bytes(p.NONCE_SIZE))]
    assert end.dialect == "probe"
    end.confirm()
    assert list(probe.receive_data(end.data_to_send())) == [p.Probed(OBSERVED)]
    assert probe.receive_eof() == []
    assert list(end.receive_data(b"more")) == []


def test_a_probe_can_be_refused() -> None:
    probe, end = ProbeConnection(bytes(p.NONCE_SIZE)), server()
    list(end.receive_data(probe.data_to_send()))
    end.reject(RejectCode.UNKNOWN, "whose?")
    assert list(probe.receive_data(end.data_to_send())) == [p.Rejected(RejectCode.UNKNOWN, "whose?")]


# Relays


def relaying(key: bytes | None = KEY) -> tuple[RelayConnection, ServerConnection]:
    client = RelayConnection(RELAY, key)
    end = challenged(client, key)
    assert list(end.receive_data(client.data_to_send())) == [p.RelayRequested(RELAY)]
    assert end.dialect == "relay"
    return client, end


def test_once_spliced_all_bytes_are_payload() -> None:
    client, end = relaying()
    end.splice()
    wire = end.data_to_send()
    assert list(client.receive_data(wire[:-1])) == []
    assert list(client.receive_data(wire[-1:] + b"\x7fpayload")) == [p.Spliced(b"\x7fpayload")]
    assert client.data_to_send() == b""
    assert client.receive_eof() == []


def test_the_token_is_that_of_the_pair() -> None:
    assert Relay("run-1", 3, 0, 1, 2).token == RELAY.token
    for other in (Relay("run-2", 1, 2, 3, 0), Relay("run-1", 1, 3, 3, 0), Relay("run-1", 1, 0, 3, 2)):
        assert other.token != RELAY.token


@pytest.mark.parametrize(
    "wire",
    [p.encode_expired([3], "late"), p.encode_replaced(2, "again"), p.encode_rejected(RejectCode.UNKNOWN, "who?")],
)
def test_a_relay_that_does_not_come_about_has_a_reason(wire: bytes) -> None:
    client, _ = relaying()
    [event] = client.receive_data(wire)
    assert isinstance(event, p.Expired | p.Replaced | p.Rejected)
    assert client.state is p.ClientState.ENDED


@pytest.mark.parametrize("early", [b"x", frame(0x20)])
def test_who_speaks_before_it_is_spliced_is_refused(early: bytes) -> None:
    client = RelayConnection(RELAY)
    end = challenged(client, None)
    with pytest.raises(p.RemoteProtocolError, match="before it was spliced"):
        list(end.receive_data(client.data_to_send() + early))
    _, end = relaying()
    with pytest.raises(p.RemoteProtocolError, match="before it was spliced"):
        list(end.receive_data(early))


@pytest.mark.parametrize(
    "change", [{"run_id": ""}, {"rank": -1}, {"peer": p.MAX_WORLD_SIZE}, {"peer_attempt": 65_536}, {"peer": 1}]
)
def test_a_relay_that_cannot_be_is_refused_where_it_is_made(change: dict) -> None:
    with pytest.raises(p.LocalProtocolError):
        Relay(**{"run_id": "run-1", "rank": 1, "attempt": 0, "peer": 2, "peer_attempt": 0} | change)


# Nonsense


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


def relay(run_id: bytes = b"r", size: int = 1, rank: int = 0, peer: int = 1) -> bytes:
    return struct.pack("!HHHHB", rank, 0, peer, 0, size) + run_id


def identity(run_id: bytes = b"r", topology: int = 0, rank: int = 0, world: int = 1, locals_: bytes = b"\0") -> bytes:
    return struct.pack("!BHHHB", topology, rank, world, 0, len(run_id)) + run_id + locals_


@pytest.mark.parametrize(
    "wire",
    [
        frame(0x10),
        frame(0x10, b"\0" + identity()[:-1]),  # cut short
        frame(0x10, b"\0" + identity(run_id=b"\xff")),  # not UTF-8
        frame(0x10, b"\0" + identity(topology=7)),
        frame(0x10, b"\0" + identity(rank=1)),
        frame(0x10, b"\0" + identity(locals_=b"\x09")),
        frame(0x10, b"\0" + identity(locals_=b"\x01\x04\0\x50")),
        frame(0x40, b"\0" + relay(size=2)),  # cut short
        frame(0x40, b"\0" + relay(peer=0)),  # to itself
        frame(0x40, b"\x05proof" + relay()[:3]),
        frame(0x11),  # LEAVE before joining
        struct.pack("!BH", 0x10, p.MAX_CLIENT_FRAME + 1),  # refused before its body comes
    ],
)
def test_the_server_refuses_and_says_why(wire: bytes) -> None:
    end = server(None)
    list(end.receive_data(p.MAGIC + b"\x01"))
    end.data_to_send()
    with pytest.raises(p.RemoteProtocolError) as error:
        list(end.receive_data(wire))
    client = ClientConnection(JOIN)
    assert list(client.receive_data(end.data_to_send())) == [p.Rejected(RejectCode.MALFORMED, str(error.value))]
    assert list(end.receive_data(wire)) == []


# Pairing


def test_a_pairing_name_may_grow_until_a_zero_ends_it() -> None:
    end = server()
    assert list(end.receive_data(b"run_0")) == [p.PairingRequested(b"run_0")]
    for part in (b"_1", b"\0", b"\0stale bytes of a buffer"):
        assert list(end.receive_data(part)) == [p.PairingRequested(b"run_0_1")]
    assert not end.is_framed
    assert end.dialect == "pairing"
    end.reject(RejectCode.LIMIT, "full")
    assert end.data_to_send() == b""  # 8-byte records are all that such a client reads
    assert list(end.receive_data(b"2")) == []


@pytest.mark.parametrize(
    "wire",
    [b"n" * 101, b"n" + bytes(100), b"\0" * 8, b"\0name", b"\x01PROXY", b"\r\n\r\n\0\r\nQUIT\n", b"\x16\x03\x01"],
)
def test_bytes_of_neither_dialect_are_refused(wire: bytes) -> None:
    end = server()
    with pytest.raises(p.RemoteProtocolError):
        list(end.receive_data(wire))
    assert end.data_to_send() == b""
    assert list(end.receive_data(wire)) == []


def test_what_comes_instead_of_a_name_is_named() -> None:
    for wire, said in ((b"\r\n\r\n", "PROXY"), (b"\x16\x03\x01", "TLS")):
        with pytest.raises(p.RemoteProtocolError, match=said):
            list(server().receive_data(wire))


def test_the_longest_pairing_name() -> None:
    assert list(server().receive_data(b"n" * 100)) == [p.PairingRequested(b"n" * 100)]


def test_the_pairing_address_is_the_c_struct() -> None:
    assert p.pairing_address(Endpoint("1.2.3.4", 0x5678)) == b"\x01\x02\x03\x04\x56\x78\0\0"
    with pytest.raises(p.LocalProtocolError, match="IPv6"):
        p.pairing_address(Endpoint("2001:db8::1", 1))


# Values


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


def test_a_key_is_its_text_without_white_space() -> None:
    assert p.key_from_text(" key\n") == b"key"
    assert p.key_from_text(" \n") is None


# Properties

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


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges)]


def hear(receive: Callable, chunks: list[bytes]) -> list[object]:
    """The events of all chunks, and the error that ends them, if one does."""
    events: list[object] = []
    try:
        for chunk in chunks:
            events += receive(chunk)  # extended one by one: events before an error stay
    except p.RemoteProtocolError as error:
        events.append(str(error))
    return events


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


@given(st.lists(st.integers(0, 10_000), max_size=40), st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255))))
def test_how_the_bytes_are_cut_changes_nothing_for_the_server(places: list[int], flips: list[tuple[int, int]]) -> None:
    client = ClientConnection(JOIN, KEY)
    hello = client.data_to_send()
    list(client.receive_data(frame(0x30, b"\x01" + NONCE)))
    talk = bytearray(client.data_to_send() + frame(0x20, b"token") + frame(0x21) + frame(0x11) + b"ignored")
    for at, bits in flips[:3]:
        talk[at % len(talk)] ^= bits
    said = []
    for chunks in ([hello + bytes(talk)], cut(hello + bytes(talk), places)):
        end = server()

        def receive(chunk: bytes, end: ServerConnection = end) -> list[object]:
            events: list[object] = []
            try:
                for event in end.receive_data(chunk):
                    events.append(event)
                    if isinstance(event, p.JoinRequested):
                        end.accept(30, 10)
            except p.RemoteProtocolError as error:
                events.append(str(error))
            return events

        said.append((hear(receive, chunks), end.data_to_send()))
    assert said[0] == said[1]


@given(st.lists(st.binary(max_size=600), max_size=5))
def test_no_bytes_raise_anything_but_the_protocols_error(chunks: list[bytes]) -> None:
    for make in (
        server,
        lambda: joined_pair()[1],
        lambda: joined_pair()[0],
        lambda: relaying()[1],
        lambda: relaying()[0],
        lambda: ClientConnection(JOIN, probe_from=LOCAL[0]),
        lambda: ProbeConnection(NONCE),
    ):
        hear(make().receive_data, chunks)
    hear(server(None).receive_data, [p.MAGIC + b"\x01", *chunks])


@given(st.integers(0x10, 0x4F), st.binary(max_size=400))
def test_no_body_raises_anything_but_the_protocols_error(kind: int, body: bytes) -> None:
    hear(joined_pair()[0].receive_data, [frame(kind, body)])
    hear(relaying()[0].receive_data, [frame(kind, body)])
    hear(ClientConnection(JOIN, probe_from=LOCAL[0]).receive_data, [frame(0x30, b"\x01" + NONCE + body)])
    hear(ProbeConnection(NONCE).receive_data, [frame(0x30, b"\x01" + NONCE), frame(kind, body)])
    hear(server(None).receive_data, [p.MAGIC + b"\x01", frame(kind, body)])
