"""The pairing dialect, by a client written from its description."""

import http.client
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


def test_a_client_that_retries_inside_one_process_finds_its_partner(server: Server) -> None:
    """As Cylon does, it closes neither the connection that timed out nor the one that withdraws it."""
    with ExitStack() as stack:
        for _ in range(3):
            abandoned = stack.enter_context(closing(server.connect(b"pair_0_1")))
            assert read_exactly(abandoned, 8) == record(abandoned)
            stack.enter_context(closing(server.connect(b"remove_pair_pair_0_1")))
        again = stack.enter_context(closing(server.connect(b"pair_0_1")))
        assert read_exactly(again, 8) == record(again)
        partner = stack.enter_context(closing(server.connect(b"pair_0_1")))
        assert read_exactly(partner, 100) == record(partner) + record(again)
        assert read_exactly(again, 100) == record(partner)
        until(lambda: len(server.outcomes()) == 8, "all are gone for the server, though open here")
    assert sorted(server.outcomes()) == ["paired"] * 2 + ["withdrawal"] * 3 + ["withdrawn"] * 3


def test_another_address_cannot_withdraw_a_name(server: Server) -> None:
    with closing(server.connect(b"name")) as waiter:
        assert read_exactly(waiter, 8) == record(waiter)
        with socket.create_connection((server.host, server.port), DEADLINE_S, ("127.0.0.2", 0)) as other:
            other.sendall(b"remove_pair_name")
            assert read_exactly(other, 1) == b""
        with closing(server.connect(b"name")) as partner:
            assert read_exactly(partner, 100) == record(partner) + record(waiter)


def test_protocol_2_of_another_server_is_refused_by_name(server: Server) -> None:
    with closing(server.connect(b"name".ljust(100, b"\0") + bytes(41))) as client:
        assert read_exactly(client, 1) == b""
    until(server.connections, "it is gone")
    [line] = server.connections()
    assert (line["outcome"], line["dialect"]) == ("malformed", "pairing")
    assert "TCPunch's protocol v2" in line["reason"]


def test_http_is_answered_and_pairs_with_nobody(server: Server) -> None:
    for path, status in (("/livez", 200), ("/readyz", 200), ("/", 404)) * 2:
        client = http.client.HTTPConnection(server.host, server.port, timeout=DEADLINE_S)
        with closing(client):
            client.request("GET", path, headers={"X-Long": "x" * 4_000})
            assert client.getresponse().status == status
    with closing(server.connect(b"GET /livez HT")) as late:
        is_known(server)
        late.sendall(b"TP/1.0\r\nUser-Agent: a browser\r\n\r\n")
        assert read_exactly(late, 15) == b"HTTP/1.1 200 OK"
        late.sendall(b"more, while the answer is on its way")
        assert b"ok\n" in read_exactly(late, 1_000)
    until(lambda: len(server.outcomes()) == 8, "all are gone")
    lines = [line for line in server.connections() if line["dialect"] == "http"]
    assert [line["outcome"] for line in lines] == ["answered"] * 7
