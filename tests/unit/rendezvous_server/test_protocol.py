"""Conversations between two connections over a fake wire, and every way in which bytes can be wrong."""

import struct
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rendezvous_server import protocol as p
from rendezvous_server.protocol import ClientConnection, Endpoint, Join, Peer, RejectCode, ServerConnection, Topology

KEY = b"deployment key"
NONCE = bytes(range(p.NONCE_SIZE))
OBSERVED = Endpoint("198.51.100.7", 40_001)
LOCAL = (Endpoint("10.0.0.5", 41_000), Endpoint("2001:db8::5", 41_000))
JOIN = Join("run-1", rank=1, world_size=4, attempt=2, local=LOCAL)


def server(key: bytes | None = KEY) -> ServerConnection:
    return ServerConnection(key, lambda: NONCE)


def joined_pair(join: Join = JOIN, key: bytes | None = KEY) -> tuple[ClientConnection, ServerConnection]:
    """A client that is a member, and its server end."""
    client, end = ClientConnection(join, key), server(key)
    assert list(end.receive_data(client.data_to_send())) == []
    assert list(client.receive_data(end.data_to_send())) == []
    assert list(end.receive_data(client.data_to_send())) == [p.JoinRequested(join)]
    end.accept(OBSERVED, 30.5, 10)
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


@pytest.mark.parametrize("client_key", [None, KEY])
def test_a_server_without_a_key_ignores_the_proof(client_key: bytes | None) -> None:
    client, end = ClientConnection(JOIN, client_key), server(None)
    list(end.receive_data(client.data_to_send()))
    list(client.receive_data(end.data_to_send()))
    assert list(end.receive_data(client.data_to_send())) == [p.JoinRequested(JOIN)]


@pytest.mark.parametrize(("client_key", "said"), [(None, "is missing"), (b"other", "another key")])
def test_a_bad_proof_is_refused_with_a_reason(client_key: bytes | None, said: str) -> None:
    client, end = ClientConnection(JOIN, client_key), server()
    list(end.receive_data(client.data_to_send()))
    list(client.receive_data(end.data_to_send()))
    [refused] = end.receive_data(client.data_to_send())
    assert isinstance(refused, p.JoinRefused)
    assert said in refused.reason
    assert "RENDEZVOUS_KEY" in refused.reason
    assert list(client.receive_data(end.data_to_send())) == [p.Rejected(RejectCode.BAD_PROOF, refused.reason)]
    assert list(end.receive_data(b"whatever")) == []


def test_a_proof_is_worth_nothing_under_another_nonce() -> None:
    client, end = ClientConnection(JOIN, KEY), server()
    list(end.receive_data(client.data_to_send()))
    list(client.receive_data(end.data_to_send()))
    recorded = client.data_to_send()
    replayed = ServerConnection(KEY, lambda: bytes(p.NONCE_SIZE))
    list(replayed.receive_data(p.MAGIC + b"\x01"))
    [refused] = replayed.receive_data(recorded)
    assert isinstance(refused, p.JoinRefused)


@given(st.data())
def test_the_proof_covers_every_byte_of_the_join(data: st.DataObject) -> None:
    client, end = ClientConnection(JOIN, KEY), server()
    list(end.receive_data(client.data_to_send()))
    list(client.receive_data(end.data_to_send()))
    sent = bytearray(client.data_to_send())
    at = data.draw(st.integers(4, len(sent) - 1))  # behind header and proof length
    sent[at] ^= data.draw(st.integers(1, 255))
    try:
        [event] = end.receive_data(bytes(sent))
    except p.RemoteProtocolError:
        return
    assert isinstance(event, p.JoinRefused)


def test_a_newer_client_is_answered_in_this_version() -> None:
    end = server()
    list(end.receive_data(p.MAGIC))
    assert end.dialect is None
    list(end.receive_data(b"\x09"))
    assert end.dialect == "group"
    assert end.data_to_send() == frame(0x30, b"\x01" + NONCE)


def test_version_zero_is_refused() -> None:
    end = server()
    [refused] = end.receive_data(p.MAGIC + b"\0")
    assert isinstance(refused, p.JoinRefused)
    assert list(ClientConnection(JOIN).receive_data(end.data_to_send())) == [
        p.Rejected(RejectCode.VERSION, refused.reason)
    ]


@pytest.mark.parametrize("version", [0, 2])
def test_a_version_that_was_not_offered_is_an_error(version: int) -> None:
    with pytest.raises(p.RemoteProtocolError, match=f"version {version}"):
        list(ClientConnection(JOIN).receive_data(frame(0x30, bytes([version]) + NONCE)))


def test_fields_that_a_later_server_appends_are_ignored() -> None:
    client = ClientConnection(JOIN)
    list(client.receive_data(frame(0x30, b"\x01" + NONCE + b"more")))
    joined = p.encode_joined(OBSERVED, 1, 1)
    [event] = client.receive_data(frame(0x31, joined[3:] + b"more"))
    assert event == p.Joined(OBSERVED, 1.0, 1.0)


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


def test_accept_needs_a_request() -> None:
    end = server()
    with pytest.raises(p.LocalProtocolError, match="NEW"):
        end.accept(OBSERVED, 1, 1)


def test_reject_is_said_once() -> None:
    _, end = joined_pair()
    end.reject(RejectCode.TIMEOUT, "silent")
    assert end.data_to_send() == p.encode_rejected(RejectCode.TIMEOUT, "silent")
    end.reject(RejectCode.TIMEOUT, "silent")
    assert end.data_to_send() == b""


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


def test_a_pairing_name_may_grow_and_has_no_trailing_zeros() -> None:
    end = server()
    assert list(end.receive_data(b"run_0")) == [p.PairingRequested(b"run_0")]
    assert list(end.receive_data(b"_1\0\0")) == [p.PairingRequested(b"run_0_1")]
    assert not end.is_group
    assert end.dialect == "pairing"
    end.reject(RejectCode.LIMIT, "full")
    assert end.data_to_send() == b""  # 8-byte records are all that such a client reads
    assert list(end.receive_data(b"2")) == []


@pytest.mark.parametrize("wire", [b"n" * 101, b"\0" * 8, b"\x01PROXY"])
def test_bytes_of_neither_dialect_are_refused(wire: bytes) -> None:
    end = server()
    with pytest.raises(p.RemoteProtocolError):
        list(end.receive_data(wire))
    assert end.data_to_send() == b""
    assert list(end.receive_data(wire)) == []


def test_the_longest_pairing_name() -> None:
    assert list(server().receive_data(b"n" * 100)) == [p.PairingRequested(b"n" * 100)]


def test_the_pairing_address_is_the_c_struct() -> None:
    assert p.pairing_address(Endpoint("1.2.3.4", 0x5678)) == b"\x01\x02\x03\x04\x56\x78\0\0"
    assert p.parse_pairing_address(b"\x01\x02\x03\x04\x56\x78\0\0") == Endpoint("1.2.3.4", 0x5678)
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
                        end.accept(OBSERVED, 30, 10)
            except p.RemoteProtocolError as error:
                events.append(str(error))
            return events

        said.append((hear(receive, chunks), end.data_to_send()))
    assert said[0] == said[1]


@given(st.lists(st.binary(max_size=600), max_size=5))
def test_no_bytes_raise_anything_but_the_protocols_error(chunks: list[bytes]) -> None:
    for make in (server, lambda: joined_pair()[1], lambda: joined_pair()[0], lambda: ClientConnection(JOIN)):
        hear(make().receive_data, chunks)
    challenged = server(None)
    hear(challenged.receive_data, [p.MAGIC + b"\x01", *chunks])


@given(st.integers(0x10, 0x3B), st.binary(max_size=400))
def test_no_body_raises_anything_but_the_protocols_error(kind: int, body: bytes) -> None:
    hear(joined_pair()[0].receive_data, [frame(kind, body)])
    challenged = server(None)
    hear(challenged.receive_data, [p.MAGIC + b"\x01", frame(kind, body)])
