import socket

import pytest

from rendezvous_server.listening import KEEPALIVE, listening_socket


def test_a_free_port_is_taken() -> None:
    with listening_socket("127.0.0.1", 0, 8) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"
        assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


def test_what_is_accepted_is_kept_alive() -> None:
    with (
        listening_socket("127.0.0.1", 0, 8) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == KEEPALIVE["TCP_KEEPIDLE"]


def test_a_port_in_use_is_named_in_one_line() -> None:
    with listening_socket("127.0.0.1", 0, 8) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(OSError, match=rf"^cannot listen on 127\.0\.0\.1 port {port}: Address already in use$"):
            listening_socket("127.0.0.1", port, 8)


def test_an_address_of_another_host_is_named_in_one_line() -> None:
    with pytest.raises(OSError, match=r"^cannot listen on 192\.0\.2\.1 port 0: [^\[(]+$"):
        listening_socket("192.0.2.1", 0, 8)
