"""What the first bytes of a client without frames ask for."""

import pytest

from rendezvous_server import protocol as p
from rendezvous_server.protocol.pairing import MAX_REQUEST_LINE, WITHDRAWAL, read_request


@pytest.mark.parametrize("padding", [b"", b"\0", bytes(60), b"\0stale bytes of a buffer"])
def test_a_name_and_its_withdrawal(padding: bytes) -> None:
    assert read_request(b"run_1" + padding) == p.PairingRequested(b"run_1")
    assert read_request(WITHDRAWAL + b"run_1" + padding) == p.WithdrawalRequested(b"run_1")


def test_the_longest_name_can_be_withdrawn() -> None:
    assert read_request(b"n" * 100) == p.PairingRequested(b"n" * 100)
    assert read_request(WITHDRAWAL + b"n" * 100) == p.WithdrawalRequested(b"n" * 100)
    with pytest.raises(p.RemoteProtocolError, match="1 to 100 are allowed"):
        read_request(WITHDRAWAL + b"n" * 101)


def test_a_withdrawal_of_nothing_asks_for_nothing_yet() -> None:
    assert read_request(WITHDRAWAL) is None
    assert read_request(WITHDRAWAL[:-1]) == p.PairingRequested(WITHDRAWAL[:-1])


@pytest.mark.parametrize(
    ("head", "asked"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", p.HttpRequested("GET", "/")),
        (b"HEAD /livez?verbose HTTP/1.0\r\n", p.HttpRequested("HEAD", "/livez")),
        (b"POST " + b"/" * 1_000 + b" HTTP/1.1\r\n" + bytes(9_000), p.HttpRequested("POST", "/" * 1_000)),
        (b"GET /\r\n", p.HttpRequested("GET", "/")),  # HTTP/0.9
        (b"GET \xff HTTP/1.1\r\n", p.HttpRequested("GET", "\ufffd")),
        (b"CONNECT 192.0.2.1:443 HTTP/1.1\r\n", p.HttpRequested("CONNECT", "192.0.2.1:443")),
        (b"GET " + b"/" * (141 - len(b"GET \n")) + b"\n", p.HttpRequested("GET", "/" * 136)),  # 141 bytes
        (b"GET /livez HTTP/1.1", None),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", p.HttpRequested("PRI", "*")),
    ],
)
def test_http_is_never_a_name(head: bytes, asked: p.HttpRequested | None) -> None:
    assert read_request(head) == asked


@pytest.mark.parametrize("name", [b"GET", b"GET/", b"get /", b"GETTING /", b"a GET /"])
def test_what_only_looks_like_http_is_a_name(name: bytes) -> None:
    assert read_request(name) == p.PairingRequested(name)


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"run_1".ljust(100, b"\0") + bytes(41), "protocol v2"),
        (WITHDRAWAL + b"run_1".ljust(88, b"\0") + b"b2c1f1de-0000-4000-8000-0123456789ab\0" + bytes(4), "protocol v2"),
        (b"run_1".ljust(142, b"\0"), "5 bytes in 142"),
        (b"n" * 101, "101 bytes"),
        (b"\0name", "0 bytes"),
        (b"\r\n\r\n\0\r\nQUIT\n", "PROXY"),
        (b"\x16\x03\x01", "TLS"),
        (b"GET " + b"/" * MAX_REQUEST_LINE, "HTTP"),
    ],
)
def test_what_asks_for_nothing_here_is_named(head: bytes, said: str) -> None:
    with pytest.raises(p.RemoteProtocolError, match=said):
        read_request(head)
