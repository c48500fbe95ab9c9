"""Stories of connections, told with a clock that stands still until it is moved; then any story at all."""

from collections import defaultdict
from math import inf

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rendezvous_server import protocol as p
from rendezvous_server.group import Send
from rendezvous_server.protocol import ClientConnection, Endpoint, Join, RejectCode, Topology
from rendezvous_server.registry import QUIET_PER_WRITE_S, Accept, Close, Effect, Limits, Outcome, Registry, Reject

NONCE = bytes(p.NONCE_SIZE)
LIMITS = Limits(
    handshake_timeout_s=2,
    pairing_timeout_s=20,
    group_timeout_s=30,
    ping_interval_s=8,
    ping_timeout_s=19,
    close_timeout_s=1,
    shutdown_grace_s=3,
)


class Server:
    """A registry whose effects reach fake connections: numbers, each from its own port of one host."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.registry: Registry[int] = Registry(limits)
        self.now = 100.0
        self.opened = 0
        self.open: set[int] = set()
        self.clients: dict[int, ClientConnection] = {}  # of the group dialect
        self.events: defaultdict[int, list[p.ClientEvent]] = defaultdict(list)
        self.records: defaultdict[int, bytes] = defaultdict(bytes)  # what a client of the pairing dialect has read
        self.outcomes: dict[int, Outcome] = {}
        self.aborted: set[int] = set()
        self.rejections: dict[int, tuple[RejectCode, str]] = {}
        self.expires_in: dict[int, float] = {}

    def perform(self, effects: list[Effect[int]]) -> None:
        for effect in effects:
            match effect:
                case Send(to, data):
                    for connection in to:
                        assert connection in self.open
                        assert connection not in self.outcomes, "nothing is sent after the last word"
                        self.receive(connection, data)
                case Accept(connection, expires_in_s):
                    self.expires_in[connection] = expires_in_s
                    self.receive(connection, p.encode_joined(endpoint(connection), expires_in_s, 8))
                case Reject(connection, code, reason, outcome):
                    self.rejections[connection] = (code, reason)
                    self.outcomes[connection] = outcome
                case Close(to, outcome, abort):
                    for connection in to:
                        self.outcomes.setdefault(connection, outcome)
                        if abort:
                            self.aborted.add(connection)

    def receive(self, connection: int, data: bytes) -> None:
        if connection in self.clients:
            self.events[connection] += self.clients[connection].receive_data(data)
        else:
            self.records[connection] += data

    def connect(self, host: str = "192.0.2.1") -> int:
        self.opened += 1
        self.open.add(self.opened)
        self.perform(self.registry.connected(self.opened, host, self.now))
        return self.opened

    def name(self, connection: int, name: bytes) -> int:
        self.perform(self.registry.named(connection, name, endpoint(connection), self.now))
        return connection

    def pair(self, name: bytes) -> int:
        return self.name(self.connect(), name)

    def ask(self, connection: int, join: Join) -> int:
        client = self.clients[connection] = ClientConnection(join)
        list(client.receive_data(b"\x30\0\x11\x01" + NONCE))
        self.perform(self.registry.joined(connection, join, endpoint(connection), self.now))
        return connection

    def join(self, rank: int, world_size: int = 3, attempt: int = 0, run_id: str = "run", **fields: Topology) -> int:
        return self.ask(self.connect(), Join(run_id, rank, world_size, attempt, **fields))

    def disconnect(self, connection: int) -> Outcome | None:
        self.open.discard(connection)
        return self.registry.disconnected(connection, self.now)

    def pass_time(self, seconds: float = 0.0) -> None:
        """Wake the registry whenever it wants to be woken until then."""
        until = self.now + seconds
        while self.registry.wake_at <= until:
            self.now = max(self.now, self.registry.wake_at)
            self.perform(self.registry.advance(self.now))
        self.now = until

    def peers(self, connection: int) -> dict[int, p.Peer]:
        return self.clients[connection].peers

    def assert_empty(self) -> None:
        """Nothing is left behind: no entry, no deadline."""
        self.perform(self.registry.advance(self.now))
        assert self.registry.wake_at == inf
        for name, kept in vars(self.registry).items():
            if hasattr(kept, "__len__") and name != "_join_rate":
                assert len(kept) == 0, name


def endpoint(connection: int) -> Endpoint:
    return Endpoint("192.0.2.1", 10_000 + connection)


def record(connection: int) -> bytes:
    return p.pairing_address(endpoint(connection))


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


def test_a_name_waits_no_longer_than_allowed(server: Server) -> None:
    first = server.pair(b"a")
    server.pass_time(19.9)
    second = server.pair(b"b")
    server.pass_time(0.1)
    assert server.outcomes == {first: Outcome.EXPIRED}
    third = server.pair(b"a")
    assert server.records[third] == record(third)
    assert second not in server.outcomes


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
    assert server.rejections[silent] == (RejectCode.TIMEOUT, "no join within 2 s")


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
    kept = [server.connect("a"), server.connect("a"), server.connect("b")]
    dropped = [server.connect("a"), server.connect("c")]
    assert server.outcomes == dict.fromkeys(dropped, Outcome.LIMITED)
    assert server.aborted == set(dropped)
    assert [server.disconnect(connection) for connection in dropped] == [None, None]
    server.disconnect(kept[0])
    assert server.connect("a") not in server.outcomes


def test_a_client_that_misbehaves_is_closed_in_every_phase(server: Server) -> None:
    silent, waiting, member = server.connect(), server.pair(b"a"), server.join(0)
    for connection in (silent, waiting, member):
        server.perform(server.registry.ended(connection, Outcome.MALFORMED, server.now))
    assert set(server.outcomes.values()) == {Outcome.MALFORMED}
    assert server.aborted == set()
    slow = server.join(0)
    server.perform(server.registry.ended(slow, Outcome.SLOW, server.now, abort=True))
    assert server.aborted == {slow}
    for connection in list(server.open):
        server.disconnect(connection)
    server.assert_empty()


# Groups


def test_a_group_meets(server: Server) -> None:
    ranks = [server.join(rank) for rank in range(3)]
    server.pass_time()
    for rank, connection in enumerate(ranks):
        assert set(server.peers(connection)) == {0, 1, 2} - {rank}
        assert server.clients[connection].complete
        assert server.peers(connection)[(rank + 1) % 3].observed == endpoint(ranks[(rank + 1) % 3])
    assert [server.expires_in[connection] for connection in ranks] == [30, 30, 0]


def test_groups_do_not_mix(server: Server) -> None:
    first, second = server.join(0, run_id="x"), server.join(1, run_id="y")
    server.pass_time()
    assert server.peers(first) == server.peers(second) == {}


def test_a_dead_member_is_reported_at_once(server: Server) -> None:
    ranks = [server.join(rank) for rank in range(3)]
    server.pass_time(1)
    assert server.disconnect(ranks[1]) is Outcome.LOST
    server.pass_time()
    assert set(server.peers(ranks[0])) == {2}
    assert isinstance(server.events[ranks[0]][-1], p.PeerLeft)


def test_leaving(server: Server) -> None:
    ranks = [server.join(rank) for rank in range(3)]
    server.pass_time(1)
    server.perform(server.registry.ended(ranks[1], Outcome.LEFT, server.now))
    server.pass_time()
    assert server.outcomes == {ranks[1]: Outcome.LEFT}
    assert set(server.peers(ranks[2])) == {0}


def test_a_newer_attempt_takes_the_place(server: Server) -> None:
    old, other = server.join(0), server.join(1)
    server.pass_time(1)
    new = server.join(0, attempt=1)
    server.pass_time()
    assert server.events[old][-1] == p.Replaced(1, "attempt 1 of rank 0 has joined")
    assert server.outcomes == {old: Outcome.REPLACED}
    assert server.peers(other)[0].attempt == 1
    assert set(server.peers(new)) == {1}
    assert server.disconnect(old) is None
    server.pass_time()
    assert set(server.peers(other)) == {0}  # the end of the old connection says nothing of the new one


@pytest.mark.parametrize(
    ("rank", "world_size", "attempt", "code"),
    [
        (1, 4, 0, RejectCode.WORLD_SIZE),
        (0, 3, 1, RejectCode.DUPLICATE_RANK),
        (0, 3, 0, RejectCode.DUPLICATE_RANK),
    ],
)
def test_refusals(server: Server, rank: int, world_size: int, attempt: int, code: RejectCode) -> None:
    server.join(0, attempt=1)
    refused = server.join(rank, world_size, attempt)
    assert server.rejections[refused][0] is code
    assert server.outcomes == {refused: Outcome.REJECTED}
    server.pass_time(1)
    assert server.aborted == {refused}


def test_too_many_groups() -> None:
    server = Server(Limits(max_groups=1))
    server.join(0, run_id="x")
    refused = server.join(0, run_id="y")
    assert server.rejections[refused] == (RejectCode.LIMIT, "the server is full: 1 groups")
    server.join(1, run_id="x")
    assert len(server.rejections) == 1


def test_too_many_joins() -> None:
    server = Server(Limits(join_burst=2, join_rate=1))
    server.join(0)
    server.join(1)
    refused = server.join(2)
    assert server.rejections[refused][0] is RejectCode.LIMIT
    assert "192.0.2.1" in server.rejections[refused][1]
    server.pass_time(1)
    assert server.join(2) not in server.rejections


def test_an_incomplete_group_expires_and_names_who_is_missing(server: Server) -> None:
    ranks = [server.join(rank, 8) for rank in (0, 3)]
    server.pass_time(1)
    late = server.join(4, 8)
    assert server.expires_in[late] == 29
    for _ in range(4):
        server.pass_time(7.24)
        for connection in (*ranks, late):
            server.registry.heard(connection, server.now)
    assert server.outcomes == {}
    server.pass_time(0.1)
    for connection in (*ranks, late):
        expired = server.events[connection][-1]
        assert isinstance(expired, p.Expired)
        assert expired.missing == (1, 2, 5, 6, 7)
        assert expired.reason == "ranks 1 to 2 and 5 to 7 of 8 did not join run 'run' within 30 s"
        assert server.outcomes[connection] is Outcome.EXPIRED
        server.disconnect(connection)
    server.assert_empty()


def test_a_complete_group_lives_as_long_as_a_member(server: Server) -> None:
    ranks = [server.join(rank, 2) for rank in range(2)]
    for _ in range(20):
        server.pass_time(5)
        server.registry.heard(ranks[0], server.now)
        server.registry.heard(ranks[1], server.now)
    server.disconnect(ranks[0])
    server.pass_time(10)
    assert server.outcomes == {}
    server.disconnect(ranks[1])
    server.assert_empty()
    assert server.join(0, 5) not in server.rejections  # the name is free again, for another world too


def test_a_member_that_answers_no_ping_is_gone(server: Server) -> None:
    ranks = [server.join(rank, 2) for rank in range(2)]
    for _ in range(3):
        server.pass_time(8)
        assert server.clients[ranks[0]].data_to_send()  # the pong
        server.registry.heard(ranks[0], server.now)
    server.registry.heard(99, server.now)  # who is no member is nobody's business
    assert server.outcomes == {ranks[1]: Outcome.TIMEOUT}
    assert server.events[ranks[1]][-1] == p.Rejected(RejectCode.TIMEOUT, "no sign of life for 19 s")
    assert server.peers(ranks[0]) == {}
    server.pass_time(40)
    assert server.outcomes[ranks[0]] is Outcome.TIMEOUT
    for connection in ranks:
        server.disconnect(connection)
    server.assert_empty()


def test_announcements_to_a_large_group_are_batched(server: Server) -> None:
    """The first news goes out at once, the next waits in proportion to the members, completion never waits."""
    world = 500
    ranks = [server.join(rank, world) for rank in range(world - 2)]
    server.pass_time()
    assert len(server.peers(ranks[0])) == world - 3
    server.join(world - 2, world)
    server.pass_time()
    assert len(server.peers(ranks[0])) == world - 3
    server.pass_time(world * QUIET_PER_WRITE_S)
    assert len(server.peers(ranks[0])) == world - 2
    server.join(world - 1, world)
    server.pass_time()
    assert len(server.peers(ranks[0])) == world - 1
    assert server.clients[ranks[0]].complete


def test_a_star_has_few_rows(server: Server) -> None:
    ranks = [server.join(rank, 50, topology=Topology.STAR) for rank in range(50)]
    server.pass_time()
    assert set(server.peers(ranks[7])) == {0}
    assert len(server.peers(ranks[0])) == 49


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
    for connection in list(server.open):
        server.disconnect(connection)
    server.assert_empty()


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


# Any story


class AnyStory(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.server = Server(
            Limits(
                max_connections=12,
                max_connections_per_address=8,
                max_groups=2,
                join_burst=15,
                join_rate=1,
                handshake_timeout_s=2,
                pairing_timeout_s=5,
                group_timeout_s=6,
                ping_interval_s=3,
                ping_timeout_s=7,
                close_timeout_s=1,
                shutdown_grace_s=2,
            )
        )
        self.draining = False

    def pick(self, data: st.DataObject, connections: set[int]) -> int:
        return data.draw(st.sampled_from(sorted(connections)))

    @property
    def undecided(self) -> set[int]:
        return self.server.open - set(self.server.outcomes)

    @property
    def silent(self) -> set[int]:
        return {c for c in self.undecided if c not in self.server.clients and not self.server.records[c]}

    @property
    def waiting(self) -> set[int]:
        return {c for c in self.undecided if self.server.records[c]}

    @property
    def members(self) -> set[int]:
        return {c for c in self.undecided if c in self.server.clients}

    @rule(host=st.sampled_from(["a", "2001:db8::1"]))
    def connect(self, host: str) -> None:
        self.server.connect(host)

    @precondition(lambda self: self.silent)
    @rule(data=st.data(), name=st.sampled_from([b"x", b"y", b"xy"]))
    def name(self, data: st.DataObject, name: bytes) -> None:
        self.server.name(self.pick(data, self.silent), name)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), name=st.sampled_from([b"x", b"xy", b"xyz"]))
    def rename(self, data: st.DataObject, name: bytes) -> None:
        self.server.name(self.pick(data, self.waiting), name)

    @precondition(lambda self: self.silent)
    @rule(
        data=st.data(),
        run_id=st.sampled_from(["one", "two", "three"]),
        rank=st.integers(0, 2),
        world_size=st.sampled_from([3, 3, 3, 4]),
        attempt=st.integers(0, 3),
        topology=st.sampled_from(Topology),
    )
    def join(
        self, data: st.DataObject, run_id: str, rank: int, world_size: int, attempt: int, topology: Topology
    ) -> None:
        self.server.ask(self.pick(data, self.silent), Join(run_id, rank, world_size, attempt, topology=topology))

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        server = self.server
        server.perform(server.registry.ended(self.pick(data, self.members), Outcome.LEFT, server.now))

    @precondition(lambda self: self.undecided)
    @rule(data=st.data(), abort=st.booleans())
    def misbehave(self, data: st.DataObject, abort: bool) -> None:
        server = self.server
        server.perform(server.registry.ended(self.pick(data, self.undecided), Outcome.SLOW, server.now, abort))

    @precondition(lambda self: self.server.open)
    @rule(data=st.data())
    def disconnect(self, data: st.DataObject) -> None:
        connection = self.pick(data, self.server.open)
        ended = self.server.disconnect(connection)
        assert (ended is None) == (connection in self.server.outcomes)

    @rule(seconds=st.floats(0, 4), answering=st.booleans())
    def pass_time(self, seconds: float, answering: bool) -> None:
        self.server.pass_time(seconds)
        if answering:
            for connection in self.members:
                self.server.registry.heard(connection, self.server.now)

    @precondition(lambda self: not self.draining)
    @rule()
    def drain(self) -> None:
        self.draining = True
        self.server.perform(self.server.registry.drain(self.server.now))

    @invariant()
    def one_connection_per_rank(self) -> None:
        ranks = [(join.run_id, join.rank) for join in (self.server.clients[c].join for c in self.members)]
        assert len(ranks) == len(set(ranks))

    @invariant()
    def names_have_one_waiter(self) -> None:
        registry = self.server.registry
        assert {waiter.connection for waiter in registry._waiters.values()} == set(registry._names) == self.waiting
        assert len(registry._waiting) == len(registry._waiters)

    @invariant()
    def limits_hold(self) -> None:
        assert len(self.server.registry._connections) <= 12
        assert len(self.server.registry._groups) <= 2

    @invariant()
    def whoever_is_open_has_a_deadline(self) -> None:
        registry = self.server.registry
        if self.server.open - self.server.aborted:
            assert registry.wake_at < inf

    @invariant()
    def members_know_each_other(self) -> None:
        """Once all that is pending has been announced, everybody's table is the truth."""
        server = self.server
        server.pass_time(10 * QUIET_PER_WRITE_S)
        for connection in self.members:
            client = server.clients[connection]
            truth = {
                other.join.rank: other.join.attempt
                for other in (server.clients[c] for c in self.members)
                if other.join.run_id == client.join.run_id
                and other.join.rank != client.join.rank
                and (client.join.wants_all or other.join.rank == p.ROOT)
            }
            assert {rank: peer.attempt for rank, peer in client.peers.items()} == truth
            if len(truth) == client.join.world_size - 1:
                assert client.complete

    def teardown(self) -> None:
        """When all are gone nothing is left behind."""
        self.server.pass_time(30)
        for connection in list(self.server.open):
            self.server.disconnect(connection)
        self.server.pass_time(30)
        self.server.assert_empty()


AnyStory.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyStory = AnyStory.TestCase
