import socket
import struct
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rendezvous_server.protocol import Endpoint, RemoteProtocolError
from rendezvous_server.proxy_protocol import MAX_BODY, SIGNATURE, ProxyHeader


def header(command: int = 0x21, kind: int = 0x11, body: bytes = b"") -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, kind, len(body)) + body


TCP4 = socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.1") + struct.pack("!HH", 40_000, 10_000)
TCP6 = (
    socket.inet_pton(socket.AF_INET6, "2001:db8::7")
    + socket.inet_pton(socket.AF_INET6, "::1")
    + struct.pack("!HH", 9, 1)
)
MAPPED = socket.inet_pton(socket.AF_INET6, "::ffff:192.0.2.7") + TCP6[16:]
EXTENSIONS = b"\x04\0\x03abc"


HEADERS = pytest.mark.parametrize(
    ("wire", "client"),
    [
        (header(body=TCP4), Endpoint("192.0.2.7", 40_000)),
        (header(body=TCP4 + EXTENSIONS), Endpoint("192.0.2.7", 40_000)),
        (header(kind=0x21, body=TCP6), Endpoint("2001:db8::7", 9)),
        (header(kind=0x21, body=MAPPED), Endpoint("192.0.2.7", 9)),
        (header(0x20, body=TCP4), None),  # LOCAL: the balancer's own health check
        (header(0x20, 0x00), None),
        (header(0x21, 0x00, EXTENSIONS), None),  # UNSPEC
    ],
)


@HEADERS
def test_the_client_is_known_and_its_bytes_are_its_own(wire: bytes, client: Endpoint | None) -> None:
    proxy = ProxyHeader()
    assert proxy.feed(wire + b"name") == b"name"
    assert proxy.client == client


@HEADERS
@given(places=st.lists(st.integers(0, 80), max_size=5))
def test_how_the_bytes_are_cut_changes_nothing(wire: bytes, client: Endpoint | None, places: list[int]) -> None:
    talk, proxy, rest = wire + b"name", ProxyHeader(), b""
    edges = [0, *sorted(place for place in places if place < len(talk)), len(talk)]
    for start, stop in pairwise(edges):
        rest += talk[start:stop] if proxy.complete else proxy.feed(talk[start:stop])
    assert (proxy.client, rest) == (client, b"name")


def test_a_header_in_three_parts() -> None:
    proxy, wire = ProxyHeader(), header(body=TCP4)
    for part in (wire[:3], wire[3:20]):
        assert proxy.feed(part) == b""
        assert not proxy.complete
    assert proxy.feed(wire[20:] + b"name") == b"name"
    assert proxy.complete


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        (b"name", "no PROXY protocol header"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\n", "no PROXY protocol header of version 2"),
        (SIGNATURE[:5] + b"x", "no PROXY protocol header"),
        (header(0x11, body=TCP4), "version 1"),
        (header(0x22, body=TCP4), "command 2"),
        (header(body=bytes(MAX_BODY + 1)), "4097 bytes"),
        (header(kind=0x12, body=TCP4), "kind 0x12"),  # UDP
        (header(kind=0x31, body=bytes(216)), "kind 0x31"),  # a Unix socket
        (header(body=TCP4[:-1]), "11 bytes"),
    ],
)
def test_anything_else_is_refused(wire: bytes, said: str) -> None:
    with pytest.raises(RemoteProtocolError, match=said):
        ProxyHeader().feed(wire)


@given(st.binary(max_size=60), st.booleans())
def test_no_bytes_raise_another_error(wire: bytes, signed: bool) -> None:
    with suppress(RemoteProtocolError):
        ProxyHeader().feed(SIGNATURE + wire if signed else wire)
