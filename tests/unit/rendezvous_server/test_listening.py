import contextlib
import socket
import sys

import pytest

from rendezvous_server.listening import KEEPALIVE, QUEUES, listening_socket, listening_sockets


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


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux deals clients out among sockets of one port")
def test_more_clients_may_wait_at_one_port_than_one_queue_holds() -> None:
    with contextlib.ExitStack() as stack:
        listening = [stack.enter_context(one) for one in listening_sockets("127.0.0.1", 0, 2)]
        assert len(listening) == QUEUES
        (address,) = {one.getsockname() for one in listening}
        clients = [stack.enter_context(socket.socket()) for _ in range(24)]
        for client in clients:
            client.settimeout(0.02)  # a client whose queue is full waits for a second
            with contextlib.suppress(TimeoutError):
                client.connect(address)
        connected = sum(_has_peer(client) for client in clients)
        assert connected > 3  # of a backlog of 2


def test_a_server_that_is_there_already_is_found_out() -> None:
    with contextlib.ExitStack() as stack:
        first = [stack.enter_context(one) for one in listening_sockets("127.0.0.1", 0, 8)]
        port = first[0].getsockname()[1]
        with pytest.raises(OSError, match=rf"^cannot listen on 127\.0\.0\.1 port {port}: Address already in use$"):
            listening_sockets("127.0.0.1", port, 8)


def _has_peer(client: socket.socket) -> bool:
    try:
        client.getpeername()
    except OSError:
        return False
    return True
