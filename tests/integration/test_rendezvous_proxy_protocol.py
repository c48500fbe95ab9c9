"""Behind a load balancer that says in a PROXY protocol header who the client is."""

import socket
import struct
from contextlib import ExitStack, closing, suppress

from rendezvous_server import protocol as p
from rendezvous_server.protocol import Endpoint, Join, Relay
from rendezvous_server.proxy_protocol import SIGNATURE
from tests.integration.rendezvous import (
    Rank,
    RelayedRank,
    Server,
    Start,
    close,
    read_exactly,
    record,
    until,
)


def proxy_header(client: Endpoint, command: int = 0x21) -> bytes:
    hosts = socket.inet_aton(client.host) + socket.inet_aton("198.51.100.1")
    return SIGNATURE + struct.pack("!BBH", command, 0x11, 12) + hosts + struct.pack("!HH", client.port, 10_000)


def test_behind_a_load_balancer_every_dialect_sees_the_client(start: Start) -> None:
    server = start(RENDEZVOUS_PROXY_PROTOCOL="true")
    assert server.lines()[0]["proxy_protocol"] is True
    clients = [Endpoint("192.0.2.7", 40_000), Endpoint("192.0.2.8", 50_000)]
    ranks = [Rank(server, Join("run-1", rank, 2), before=proxy_header(clients[rank])) for rank in range(2)]
    for number, rank in enumerate(ranks):
        assert rank.hear(p.Joined).observed == clients[number]
        rank.hear(p.GroupComplete)
        assert rank.connection.peers[1 - number].observed == clients[1 - number]
    wishes = [Relay("run-1", rank, 0, 1 - rank, 0) for rank in range(2)]
    relays = [RelayedRank(server, wish, before=proxy_header(clients[wish.rank])) for wish in wishes]
    for relay in relays:
        relay.hear(p.Spliced)
    with (
        closing(server.connect(proxy_header(clients[0])[:5])) as first,
        closing(server.connect(proxy_header(clients[1]) + b"name")) as second,
    ):
        first.sendall(proxy_header(clients[0])[5:] + b"name")
        assert read_exactly(first, 16) == p.pairing_address(clients[0]) + p.pairing_address(clients[1])
        assert read_exactly(second, 16) == p.pairing_address(clients[1]) + p.pairing_address(clients[0])
    with closing(server.connect(proxy_header(clients[0], 0x20) + b"health")) as check:
        assert read_exactly(check, 8) == record(check)
    with closing(server.connect(b"name without a header")) as direct, suppress(ConnectionResetError):
        assert direct.recv(1) == b""
    close([*ranks])
    close(relays)
    until(lambda: len(server.outcomes()) == 8, "all are gone")
    assert sorted(line["host"] for line in server.connections() if line["dialect"] == "group") == [
        "192.0.2.7",
        "192.0.2.8",
    ]


def test_behind_a_load_balancer_the_clients_own_address_is_limited(start: Start) -> None:
    server = start("--proxy-protocol", "true", "--max-connections-per-address", "1")
    with ExitStack() as stack:
        for host in ("192.0.2.7", "192.0.2.8", "192.0.2.7"):
            sock = stack.enter_context(closing(server.connect(proxy_header(Endpoint(host, 1)) + host.encode())))
            if server.outcomes():
                with suppress(ConnectionResetError):
                    assert sock.recv(8) == b""
            elif host == "192.0.2.8":
                assert len(read_exactly(sock, 8)) == 8
        until(lambda: server.outcomes() == ["limited"], "the third is turned away")


def test_without_the_setting_nobody_can_claim_an_address(server: Server) -> None:
    with closing(server.connect(proxy_header(Endpoint("192.0.2.7", 1)) + b"name")) as liar:
        with suppress(ConnectionResetError):
            assert liar.recv(8) == b""
        until(server.connections, "it has been turned away")
    assert server.connections()[0]["host"] == "127.0.0.1"
    assert "PROXY protocol" in server.connections()[0]["reason"]
