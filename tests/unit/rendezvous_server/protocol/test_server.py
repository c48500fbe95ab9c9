"""The server's side, in conversation with the rank's, and what it refuses to read."""

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rendezvous_server import protocol as p
from rendezvous_server.protocol import ClientConnection, ProbeConnection, RejectCode, RelayConnection, ServerConnection
from tests.unit.rendezvous_server.protocol.conversations import (
    GREETED,
    JOIN,
    KEY,
    NONCE,
    OBSERVED,
    RELAY,
    challenged,
    cut,
    frame,
    hear,
    joined_pair,
    relaying,
    server,
)

# Requests and their proofs


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


# Answers


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


@pytest.mark.parametrize("early", [b"x", frame(0x20)])
def test_who_speaks_before_it_is_spliced_is_refused(early: bytes) -> None:
    client = RelayConnection(RELAY)
    end = challenged(client, None)
    with pytest.raises(p.RemoteProtocolError, match="before it was spliced"):
        list(end.receive_data(client.data_to_send() + early))
    _, end = relaying()
    with pytest.raises(p.RemoteProtocolError, match="before it was spliced"):
        list(end.receive_data(early))


# Bytes that mean nothing


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


@pytest.mark.parametrize("wire", [b"n" * 101, b"\x01PROXY", b"GET " + b"/" * 5_000])
def test_bytes_of_neither_dialect_are_refused(wire: bytes) -> None:
    end = server()
    with pytest.raises(p.RemoteProtocolError):
        list(end.receive_data(wire))
    assert end.data_to_send() == b""
    assert list(end.receive_data(wire)) == []


def test_a_name_that_becomes_something_else_is_that() -> None:
    end = server()
    assert list(end.receive_data(b"GET")) == [p.PairingRequested(b"GET")]
    assert not end.may_still_send
    assert list(end.receive_data(b" /livez HTTP/1.1\r")) == []
    assert list(end.receive_data(b"\nHost: rendezvous\r\n\r\n")) == [p.HttpRequested("GET", "/livez")]
    assert end.dialect == "http"
    assert end.may_still_send


# Properties


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
def test_no_bytes_raise_anything_but_the_protocols_error_at_the_server(chunks: list[bytes]) -> None:
    for make in (server, lambda: joined_pair()[1], lambda: relaying()[1]):
        hear(make().receive_data, chunks)
    hear(server(None).receive_data, [p.MAGIC + b"\x01", *chunks])


@given(st.integers(0x10, 0x4F), st.binary(max_size=400))
def test_no_body_raises_anything_but_the_protocols_error_at_the_server(kind: int, body: bytes) -> None:
    hear(server(None).receive_data, [p.MAGIC + b"\x01", frame(kind, body)])
