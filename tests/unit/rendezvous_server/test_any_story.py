"""Whatever connections do and in whatever order: the invariants of the registry hold."""

from math import inf

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rendezvous_server import protocol as p
from rendezvous_server.effects import Outcome
from rendezvous_server.groups import QUIET_PER_WRITE_S
from rendezvous_server.limits import Limits
from rendezvous_server.protocol import ClientConnection, Join, Relay, RelayConnection, Topology
from tests.unit.rendezvous_server.registry_story import Server, endpoint


class AnyStory(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.server = Server(
            Limits(
                max_connections=12,
                max_connections_per_address=8,
                max_groups=2,
                max_relays=2,
                relay_max_bytes=100,
                relay_timeout_s=4,
                relay_idle_timeout_s=5,
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
        return {c for c in self.undecided if isinstance(self.server.clients.get(c), ClientConnection)}

    @property
    def relaying(self) -> set[int]:
        return {c for c in self.undecided if isinstance(self.server.clients.get(c), RelayConnection)}

    @property
    def carrying(self) -> set[int]:
        """Spliced, and both ends are there."""
        return {c for c in self.relaying if self.server.spliced.get(c) in self.relaying}

    @rule(host=st.sampled_from(["a", "2001:db8::1"]))
    def connect(self, host: str) -> None:
        self.server.connect(host)

    @precondition(lambda self: self.silent)
    @rule(data=st.data(), name=st.sampled_from([b"x", b"y", b"xy", b"GET"]))
    def name(self, data: st.DataObject, name: bytes) -> None:
        self.server.name(self.pick(data, self.silent), name)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), name=st.sampled_from([b"x", b"xy", b"xyz"]))
    def rename(self, data: st.DataObject, name: bytes) -> None:
        self.server.name(self.pick(data, self.waiting), name)

    @precondition(lambda self: self.silent | self.waiting)
    @rule(data=st.data(), name=st.sampled_from([b"x", b"y", b"xy", b"GET"]))
    def withdraw(self, data: st.DataObject, name: bytes) -> None:
        server, connection = self.server, self.pick(data, self.silent | self.waiting)
        server.perform(server.registry.withdrawn(connection, name, endpoint(connection), server.now))
        assert server.registry.partner(name) is None

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

    @precondition(lambda self: self.silent and self.members)
    @rule(data=st.data(), rank=st.integers(0, 2), peer=st.integers(0, 2), attempts=st.tuples(*[st.integers(0, 1)] * 2))
    def relay(self, data: st.DataObject, rank: int, peer: int, attempts: tuple[int, int]) -> None:
        join = self.server.member(self.pick(data, self.members)).join
        rank, peer = (join.rank, peer) if data.draw(st.booleans()) else (rank, join.rank)
        if rank != peer:
            self.server.wish(self.pick(data, self.silent), Relay(join.run_id, rank, attempts[0], peer, attempts[1]))

    @precondition(lambda self: self.carrying)
    @rule(data=st.data(), size=st.integers(1, 60))
    def carry(self, data: st.DataObject, size: int) -> None:
        self.server.carry(self.pick(data, self.carrying), size)

    @precondition(lambda self: self.carrying)
    @rule(data=st.data())
    def relayed(self, data: st.DataObject) -> None:
        server = self.server
        server.perform(server.registry.relay_ended(self.pick(data, self.carrying), server.now))

    @precondition(lambda self: self.silent)
    @rule(data=st.data())
    def greet(self, data: st.DataObject) -> None:
        connection = self.pick(data, self.silent)
        self.server.registry.greeted(connection, bytes((connection,)))

    @precondition(lambda self: self.silent)
    @rule(data=st.data())
    def probe(self, data: st.DataObject) -> None:
        server, connection = self.server, self.pick(data, self.silent)
        nonce = bytes((self.pick(data, server.open),))
        server.perform(server.registry.probed(connection, nonce, endpoint(connection), server.now))

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
        ranks = [(join.run_id, join.rank) for join in (self.server.member(c).join for c in self.members)]
        assert len(ranks) == len(set(ranks))

    @invariant()
    def names_have_one_waiter(self) -> None:
        pairing = self.server.registry._pairing
        assert {waiter.connection for waiter in pairing._waiters.values()} == set(pairing._keys) == self.waiting
        assert len(pairing._due) == len(pairing._waiters)

    @invariant()
    def relays_join_the_two_ranks_that_asked_for_it(self) -> None:
        server = self.server
        for one, other in server.spliced.items():
            mine, theirs = (server.clients[connection].relay for connection in (one, other))  # type: ignore[union-attr]
            assert (mine.run_id, mine.rank, mine.attempt) == (theirs.run_id, theirs.peer, theirs.peer_attempt)
            assert (mine.peer, mine.peer_attempt) == (theirs.rank, theirs.attempt)

    @invariant()
    def phases_are_what_they_seem(self) -> None:
        phases = self.server.registry.phases()
        spliced = {c for c in self.relaying if c in self.server.spliced}
        assert phases["spliced"] == len(spliced)
        assert phases["relaying"] == len(self.relaying) - len(spliced)
        assert phases["member"] == len(self.members)
        assert phases["silent"] == len(self.silent)

    @invariant()
    def limits_hold(self) -> None:
        assert len(self.server.registry._connections) <= 12
        assert len(self.server.registry._groups) <= 2
        assert self.server.registry._relays.spliced + len(self.server.registry._relays.waiters) <= 2

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
            client = server.member(connection)
            truth = {
                other.join.rank: other.join.attempt
                for other in map(server.member, self.members)
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
        self.server.end_all()


AnyStory.TestCase.settings = settings(stateful_step_count=40)
TestAnyStory = AnyStory.TestCase
