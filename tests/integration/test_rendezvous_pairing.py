"""The pairing dialect, by a client written from its description."""

import os
import signal
import socket
from contextlib import ExitStack, closing, suppress

import pytest

from tests.integration.rendezvous import (
    DEADLINE_S,
    Server,
    Start,
    linger_reset,
    read_exactly,
    record,
    until,
)


@pytest.mark.parametrize("padding", [b"", b"\0", bytes(60)])
def test_pairing_byte_for_byte(server: Server, padding: bytes) -> None:
    with closing(server.connect(b"fmi_pair_0_1")) as first:
        assert read_exactly(first, 8) == record(first)  # at once, before anybody else has come
        with closing(server.connect(b"fmi_pair_0_1" + padding)) as second:
            assert read_exactly(second, 100) == record(second) + record(first)
            assert read_exactly(first, 100) == record(second)
    until(lambda: server.outcomes() == ["paired"] * 2, "both are gone")


def test_a_name_split_over_two_segments(server: Server) -> None:
    with closing(server.connect(b"fmi_")) as first:
        assert read_exactly(first, 8) == record(first)
        first.sendall(b"pair")
        with closing(server.connect(b"fmi_pair")) as second:
            assert read_exactly(second, 16)[:8] == record(second)
            assert read_exactly(first, 8) == record(second)


def test_dead_waiters_and_health_checks_are_handed_to_nobody(server: Server) -> None:
    for end in (socket.socket.close, linger_reset):
        for _ in range(3):
            end(socket.create_connection((server.host, server.port)))
            waiter = server.connect(b"name")
            read_exactly(waiter, 8)
            end(waiter)
    until(lambda: len(server.outcomes()) == 12, "the server has noticed")
    assert set(server.outcomes()) == {"gone", "abandoned"}
    with closing(server.connect(b"name")) as first, closing(server.connect(b"name")) as second:
        assert {read_exactly(first, 16), read_exactly(second, 16)} == {
            record(first) + record(second),
            record(second) + record(first),
        }


def test_what_comes_behind_a_name_in_its_own_segment(server: Server) -> None:
    with closing(server.connect(b"name")) as first:
        assert read_exactly(first, 8) == record(first)
        first.sendall(bytes(60))
        with closing(server.connect(b"na")) as second:
            assert read_exactly(second, 8) == record(second)
            second.sendall(b"me\0stale bytes of a buffer")
            assert read_exactly(second, 8) == record(first)
            assert read_exactly(first, 8) == record(second)


def test_a_waiter_whose_end_the_server_has_not_read_yet_is_handed_to_nobody(server: Server) -> None:
    """The name of its partner and its own end come to be read in one turn of the loop, in this order."""
    with closing(server.connect(b"name")) as waiter, closing(server.connect()) as partner:
        read_exactly(waiter, 8)
        is_known(server)
        server.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, server.process.pid, os.WSTOPPED)
        partner.sendall(b"name")
        waiter.close()
        server.process.send_signal(signal.SIGCONT)
        assert read_exactly(partner, 8) == record(partner)
        until(lambda: server.outcomes().count("abandoned") == 2, "the server has noticed")
        with closing(server.connect(b"name")) as third:
            assert read_exactly(third, 16) == record(third) + record(partner)
            assert read_exactly(partner, 8) == record(third)


def is_known(server: Server) -> None:
    """Connections are accepted in order: once a later one has been answered, earlier ones have been accepted."""
    with closing(server.connect(b"a later one")) as later:
        read_exactly(later, 8)


def test_connections_beyond_the_limit_are_dropped(start: Start) -> None:
    server = start("--max-connections-per-address", "3")
    with ExitStack() as stack:
        waiting = [stack.enter_context(closing(server.connect(b"%d" % n))) for n in range(3)]
        for sock in waiting:
            assert len(read_exactly(sock, 8)) == 8
        fourth = stack.enter_context(closing(socket.create_connection((server.host, server.port), DEADLINE_S)))
        with suppress(ConnectionResetError):
            assert fourth.recv(1) == b""
    until(lambda: sorted(server.outcomes()) == ["abandoned"] * 3 + ["limited"], "all are gone")


def test_a_pair_meets_while_the_server_shuts_down(server: Server) -> None:
    with closing(server.connect(b"name")) as first, closing(server.connect(b"")) as second:
        read_exactly(first, 8)
        is_known(server)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: any(line["event"] == "closing" for line in server.lines()), "the server has begun to close")
        second.sendall(b"name")
        assert read_exactly(first, 8) == record(second)
        assert read_exactly(second, 16) == record(second) + record(first)
    assert server.process.wait(DEADLINE_S) == 0
