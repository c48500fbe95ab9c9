"""Stories of connections: pairs, limits, probes, shutdown. Groups and relays have files of their own."""

import pytest

from rendezvous_server import protocol as p
from rendezvous_server.effects import Outcome
from rendezvous_server.limits import Limit, Limits
from rendezvous_server.protocol import Endpoint, Join, RejectCode
from rendezvous_server.registry import METHOD_HELD_S
from tests.unit.rendezvous_server.registry_story import LIMITS, Server, endpoint, record


@pytest.fixture
def server() -> Server:
    return Server()


# Pairing


def test_two_clients_of_one_name_get_each_others_address(server: Server) -> None:
    first = server.pair(b"a")
    assert server.records[first] == record(first)
    other = server.pair(b"b")
    second = server.pair(b"a")
    assert server.records[first] == record(first) + record(second)
    assert server.records[second] == record(second) + record(first)
    assert server.outcomes == {first: Outcome.PAIRED, second: Outcome.PAIRED}
    assert server.disconnect(first) is server.disconnect(second) is None
    assert server.disconnect(other) is Outcome.ABANDONED
    server.assert_empty()


def test_a_name_can_be_used_again(server: Server) -> None:
    for _ in range(3):
        first, second = server.pair(b"a"), server.pair(b"a")
        assert server.records[second] == record(second) + record(first)


def test_a_waiter_that_died_is_not_handed_out(server: Server) -> None:
    dead = server.pair(b"a")
    assert server.disconnect(dead) is Outcome.ABANDONED
    second, third = server.pair(b"a"), server.pair(b"a")
    assert server.records[second] == record(second) + record(third)


def test_connect_and_close_leaves_nothing(server: Server) -> None:
    assert server.disconnect(server.connect()) is Outcome.GONE
    server.assert_empty()


def test_a_name_that_comes_in_parts(server: Server) -> None:
    first = server.pair(b"run_")
    server.name(first, b"run_1")
    assert server.records[first] == record(first)
    prefix = server.pair(b"run_")
    second = server.pair(b"run_1")
    assert server.records[first] == record(first) + record(second)
    server.name(prefix, b"run_2")
    server.name(server.pair(b"run"), b"run_2")
    assert server.outcomes[prefix] is Outcome.PAIRED


def test_the_last_part_finds_a_partner_that_waits(server: Server) -> None:
    first = server.pair(b"run_1")
    second = server.pair(b"run_")
    server.name(second, b"run_1")
    assert server.records[second] == record(second) + record(first)  # its own address only once


def test_who_would_be_the_partner(server: Server) -> None:
    assert server.registry.partner(b"a") is None
    first = server.pair(b"a")
    assert server.registry.partner(b"a") == first


def test_zeros_behind_a_name_change_nothing(server: Server) -> None:
    first = server.pair(b"a")
    server.name(first, b"a")
    assert server.records[first] == record(first)
    second = server.pair(b"a")
    assert server.records[first] == record(first) + record(second)


def test_a_name_waits_no_longer_than_allowed(server: Server) -> None:
    first = server.pair(b"a")
    server.pass_time(19.9)
    second = server.pair(b"b")
    server.pass_time(0.1)
    assert server.outcomes == {first: Outcome.EXPIRED}
    third = server.pair(b"a")
    assert server.records[third] == record(third)
    assert second not in server.outcomes


def test_a_client_that_retries_is_not_paired_with_its_own_abandoned_connection(server: Server) -> None:
    abandoned = server.pair(b"a")
    withdrawal = server.withdraw(b"a")
    assert server.outcomes == {abandoned: Outcome.WITHDRAWN, withdrawal: Outcome.WITHDRAWAL}
    again, partner = server.pair(b"a"), server.pair(b"a")
    assert server.records[partner] == record(partner) + record(again)


@pytest.mark.parametrize(("host", "name"), [("192.0.2.9", b"a"), ("2001:db8::1", b"a"), ("192.0.2.1", b"b")])
def test_nobody_withdraws_what_another_waits_for(server: Server, host: str, name: bytes) -> None:
    waiter = server.pair(b"a")
    withdrawal = server.withdraw(name, host)
    assert server.outcomes == {withdrawal: Outcome.WITHDRAWAL}
    partner = server.pair(b"a")
    assert server.records[waiter] == record(waiter) + record(partner)


def test_who_asks_over_http_waits_for_nobody(server: Server) -> None:
    silent, waiter = server.connect(), server.pair(b"GET")
    for connection in (silent, waiter):
        server.perform(server.registry.answered(connection, b"HTTP", server.now))
    assert server.outcomes == {silent: Outcome.ANSWERED, waiter: Outcome.ANSWERED}
    assert server.records[silent] == b"HTTP"
    assert server.pair(b"GET") not in server.outcomes


def test_http_that_is_cut_behind_its_method_pairs_nobody(server: Server) -> None:
    waiter = server.pair(b"GET")
    server.pass_time(METHOD_HELD_S)
    request = server.pair(b"GET")
    assert server.registry.phases()["silent"] == 1
    server.perform(server.registry.answered(request, b"HTTP", server.now))
    server.pass_time(METHOD_HELD_S)
    assert server.records[request] == b"HTTP"
    assert server.records[waiter] == record(waiter)


@pytest.mark.parametrize("name", [b"GET", b"PATCH"])
def test_a_name_may_be_a_method_of_http(server: Server, name: bytes) -> None:
    first, second, other = server.pair(name), server.pair(name), server.pair(b"GETTING")
    assert server.records.keys() == {other}
    server.pass_time(METHOD_HELD_S)
    assert server.records[first] == record(first) + record(second)
    assert server.records[second] == record(second) + record(first)


def test_a_method_with_a_zero_or_more_behind_it_is_a_name_at_once(server: Server) -> None:
    first, longer = server.pair(b"GET"), server.pair(b"GET")
    server.name(first, b"GET")
    server.name(longer, b"GETTING")
    assert (server.records[first], server.records[longer]) == (record(first), record(longer))
    assert server.registry.phases()["waiting"] == 2


def test_who_has_sent_only_a_method_may_go(server: Server) -> None:
    gone, withdrawal = server.pair(b"GET"), server.pair(b"HEAD")
    assert server.disconnect(gone) is Outcome.GONE
    server.perform(server.registry.withdrawn(withdrawal, b"GET", endpoint(withdrawal), server.now))
    assert server.outcomes == {withdrawal: Outcome.WITHDRAWAL}
    server.end_all()


def test_a_server_that_shuts_down_pairs_a_method_that_is_a_name(server: Server) -> None:
    waiter = server.pair(b"GET")
    server.pass_time(METHOD_HELD_S)
    partner = server.pair(b"GET")
    server.perform(server.registry.drain(server.now))
    assert server.outcomes == {}
    server.pass_time(METHOD_HELD_S)
    assert server.outcomes == {waiter: Outcome.PAIRED, partner: Outcome.PAIRED}
    server.end_all()


def test_a_server_that_shuts_down_ends_what_is_held(server: Server) -> None:
    earlier = server.connect()
    server.perform(server.registry.drain(server.now))
    server.disconnect(earlier)
    server.pass_time(METHOD_HELD_S)
    late = server.connect()
    server.pass_time(LIMITS.shutdown_grace_s - METHOD_HELD_S * 1.5)
    server.name(late, b"GET")
    server.pass_time(METHOD_HELD_S / 2)
    assert server.outcomes[late] is Outcome.SHUTDOWN
    server.end_all()


def test_an_ipv6_client_cannot_pair(server: Server) -> None:
    connection = server.connect()
    server.perform(server.registry.named(connection, b"a", Endpoint("2001:db8::1", 1), server.now))
    assert server.outcomes == {connection: Outcome.MALFORMED}
    assert server.records[server.pair(b"a")]


# Connections


def test_a_silent_client_has_until_its_deadline(server: Server) -> None:
    silent = server.connect()
    server.pass_time(1.9)
    assert server.outcomes == {}
    server.pass_time(0.1)
    assert server.outcomes == {silent: Outcome.TIMEOUT}
    assert server.rejections[silent] == (RejectCode.TIMEOUT, "no request within 2 s")


def test_who_does_not_go_is_made_to(server: Server) -> None:
    silent = server.connect()
    server.pass_time(2.9)
    assert server.aborted == set()
    server.pass_time(0.1)
    assert server.aborted == {silent}
    assert server.outcomes == {silent: Outcome.TIMEOUT}
    server.disconnect(silent)
    server.assert_empty()


def test_connections_beyond_the_limits_are_dropped() -> None:
    server = Server(Limits(max_connections=3, max_connections_per_address=2))
    kept, dropped = [server.connect("a"), server.connect("a")], [server.connect("a")]
    kept.append(server.connect("b"))
    dropped.append(server.connect("c"))
    assert server.outcomes == dict.fromkeys(dropped, Outcome.LIMITED)
    assert server.registry.counts.limits[Limit.CONNECTIONS_PER_ADDRESS] == 1
    assert server.registry.counts.limits[Limit.CONNECTIONS] == 1
    assert server.aborted == set(dropped)
    assert [server.disconnect(connection) for connection in dropped] == [None, None]
    server.disconnect(kept[0])
    assert server.connect("a") not in server.outcomes


def test_who_comes_through_a_load_balancer_counts_once_it_is_known() -> None:
    server = Server(Limits(max_connections=4, max_connections_per_address=1))
    clients = [server.connect(None) for _ in range(3)]
    for client, host in zip(clients, "aab", strict=True):
        server.perform(server.registry.located(client, host, server.now))
    assert server.outcomes == {clients[1]: Outcome.LIMITED}
    assert server.aborted == {clients[1]}
    for client in clients:
        server.disconnect(client)
    server.assert_empty()


def test_a_client_that_misbehaves_is_closed_in_every_phase(server: Server) -> None:
    silent, waiting, member, _ = server.connect(), server.pair(b"a"), server.join(0), server.join(1)
    relaying, spliced = server.relay(0, 1), [server.relay(0, 1), server.relay(1, 0)][0]
    for connection in (silent, waiting, member, relaying, spliced):
        server.perform(server.registry.ended(connection, Outcome.MALFORMED, server.now))
    assert relaying != spliced
    assert set(server.outcomes.values()) == {Outcome.MALFORMED, Outcome.REPLACED}
    assert server.aborted == set()
    slow = server.join(0)
    server.perform(server.registry.ended(slow, Outcome.SLOW, server.now, abort=True))
    assert server.aborted == {slow}
    server.end_all()


# NAT probes


def greet(server: Server, nonce: bytes) -> int:
    connection = server.connect()
    server.registry.greeted(connection, nonce)
    return connection


def probe(server: Server, nonce: bytes) -> int:
    connection = greet(server, b"its own")
    server.perform(server.registry.probed(connection, nonce, endpoint(connection), server.now))
    return connection


def test_the_join_is_told_what_its_probe_showed(server: Server) -> None:
    without, rank = greet(server, b"one"), greet(server, b"two")
    probing = probe(server, b"two")
    assert server.confirmed == {probing}
    assert server.outcomes == {probing: Outcome.PROBED}
    server.ask(rank, Join("run", 0, 2))
    server.ask(without, Join("run", 1, 2))
    assert server.probed == {rank: endpoint(probing), without: None}


@pytest.mark.parametrize("end", ["joined", "disconnected", "timeout", "never"])
def test_a_probe_for_nobody_is_refused(server: Server, end: str) -> None:
    rank = greet(server, b"nonce")
    if end == "joined":
        server.ask(rank, Join("run", 0, 2))
    elif end == "disconnected":
        server.disconnect(rank)
    elif end == "timeout":
        server.pass_time(2)
    probing = probe(server, b"nonce" if end != "never" else b"another")
    assert server.rejections[probing][0] is RejectCode.UNKNOWN
    server.end_all()


# Shutdown


def test_shutdown_tells_members_and_lets_pairs_meet(server: Server) -> None:
    member, waiting, silent, joining = server.join(0), server.pair(b"a"), server.connect(), server.connect()
    server.perform(server.registry.drain(server.now))
    assert isinstance(server.events[member][-1], p.ServerClosing)
    assert server.outcomes == {member: Outcome.SHUTDOWN}
    server.ask(joining, Join("run", 1, 3))
    assert isinstance(server.events[joining][-1], p.ServerClosing)
    server.pass_time(0.5)
    server.name(silent, b"a")
    assert server.records[waiting] == record(waiting) + record(silent)
    server.pass_time()
    server.end_all()


def test_shutdown_does_not_wait_for_pairs_that_cannot_meet(server: Server) -> None:
    waiting, silent = server.pair(b"a"), server.connect()
    server.perform(server.registry.drain(server.now))
    assert server.outcomes == {}
    server.disconnect(silent)
    server.pass_time()
    assert server.outcomes == {waiting: Outcome.SHUTDOWN}


def test_shutdown_has_an_end(server: Server) -> None:
    waiting = server.pair(b"a")
    server.pass_time(1)
    silent = server.connect()
    server.perform(server.registry.drain(server.now))
    server.pass_time(1.9)
    late = server.connect()
    server.pass_time(1.1)
    assert server.outcomes == {waiting: Outcome.SHUTDOWN, silent: Outcome.TIMEOUT, late: Outcome.SHUTDOWN}
