import errno
import socket
import struct
from contextlib import ExitStack

import pytest

from lambda_image.comm.connecting.sockets import LocalPort, reason_of, reset

LOOPBACK = LocalPort(socket.AF_INET, "127.0.0.1")


def test_a_line_its_listener_and_dials_share_one_port() -> None:
    with LOOPBACK.listen() as server, LocalPort(socket.AF_INET).open() as line:
        line.setblocking(True)
        line.connect(server.getsockname())
        with LocalPort.of(line).listen() as listener, LocalPort.of(line).open() as another:
            assert listener.getsockname() == line.getsockname() == another.getsockname()
            with socket.create_connection(line.getsockname()) as visitor:
                assert listener.accept()[1] == visitor.getsockname()


def test_no_two_ranks_get_the_same_port() -> None:
    with ExitStack() as stack:
        ports = [stack.enter_context(LocalPort(socket.AF_INET).open()).getsockname()[1] for _ in range(500)]
        assert len(set(ports)) == 500


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_loopback_is_not_opened_to_the_network(family: socket.AddressFamily, host: str) -> None:
    with LocalPort(family, host).open() as sock:
        assert LocalPort.of(sock).host == host
    with LocalPort(family).open() as sock:  # bound to no address in particular, so not to loopback
        assert LocalPort.of(sock).host == ""


def test_segments_can_be_kept_small_from_either_side() -> None:
    with LocalPort(socket.AF_INET, "127.0.0.1", max_segment=1000).listen() as small, LOOPBACK.listen() as plain:
        for listener, dials in ((small, LOOPBACK), (plain, LocalPort(socket.AF_INET, "127.0.0.1", max_segment=1000))):
            with dials.open() as sock:
                sock.setblocking(True)
                sock.connect(listener.getsockname())
                with listener.accept()[0] as accepted:
                    for end in (sock, accepted):
                        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= 1000
                        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_after_a_reset_the_same_two_ports_can_connect_at_once() -> None:
    with LOOPBACK.listen() as listener, LOOPBACK.open() as own:
        for _ in range(3):
            sock = LocalPort.of(own).open()
            sock.setblocking(True)
            sock.connect(listener.getsockname())
            accepted, _ = listener.accept()
            reset(sock)
            with accepted, pytest.raises(ConnectionResetError):
                accepted.recv(1)


def test_a_port_that_is_taken_is_told_and_leaves_no_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as alone, pytest.raises(OSError, match="in use"):
        LocalPort(socket.AF_INET, "127.0.0.1", alone.getsockname()[1]).listen()


def test_an_error_has_a_reason() -> None:
    assert (
        reason_of(ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('::1', 9)")) == "Connection refused"
    )
    assert reason_of(TimeoutError()) == "no answer in time"
    assert reason_of(struct.error("odd")) == "odd"
