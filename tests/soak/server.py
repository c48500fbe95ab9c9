"""A rendezvous server that many groups come to and leave in every way that there is."""

import tempfile
from collections import deque
from pathlib import Path

from rendezvous_server import protocol as p
from rendezvous_server.protocol import Join, Relay
from tests.integration.rendezvous import (
    KEY,
    Rank,
    RelayedRank,
    Server,
    join_all,
    linger_reset,
    record,
    servers,
    until,
)
from tests.soak.readings import Holding, Soaked, settled

AT_ONCE = 8  # groups
WAYS = 3  # to leave


def soak_server(groups: int, joins: int, warm_up: int) -> Soaked:
    """Has groups come and go, `warm_up` of them and then `groups`, with so many joins in these."""
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder)) as start:
        # The limit of joins from one address would make this wait, and is tested elsewhere.
        server = start("--join-rate", "1000000", RENDEZVOUS_KEY=KEY)
        size = joins // groups - 1  # one rank of each group joins twice
        come_and_go(server, warm_up, size, "warm-up")
        before = at_rest(server)
        come_and_go(server, groups, size, "soak")
        (after,) = settled(lambda: [at_rest(server)], [before])
        return Soaked("rendezvous server", before, after)


def come_and_go(server: Server, groups: int, size: int, name: str) -> None:
    """So many groups, some of which are there at the same time."""
    there: deque[tuple[int, list[Rank]]] = deque()
    for number in range(groups):
        there.append((number, group(server, f"{name}-{number}", size)))
        if len(there) == AT_ONCE:
            leave(*there.popleft())
    for left in there:
        leave(*left)


def group(server: Server, run_id: str, size: int) -> list[Rank]:
    """A group that is complete, in which rank 1 was tried again and used a relay to rank 0. A pair meets beside it."""
    ranks = join_all(server, size, run_id, KEY, topology=p.Topology.STAR)
    again = Rank(server, Join(run_id, 1, size, attempt=1, topology=p.Topology.STAR), KEY)
    again.hear(p.Joined)
    ranks[1].sock.close()
    ranks[1] = again
    ends = [RelayedRank(server, Relay(run_id, *ends), KEY) for ends in ((0, 0, 1, 1), (1, 1, 0, 0))]
    for end in ends:
        end.hear(p.Spliced)
    for end in ends:
        end.sock.sendall(b"across")
    for end in ends:
        assert end.sock.recv(6)
        end.sock.close()
    pair = [server.connect(f"{run_id}/pair".encode()) for _ in range(2)]
    assert all(sock.recv(8) == record(sock) for sock in pair)
    for sock in pair:
        sock.close()
    return ranks


def leave(number: int, ranks: list[Rank]) -> None:
    """The end of a group, in one of three ways."""
    for rank in ranks:
        match number % WAYS:
            case 0:
                rank.leave()
            case 1:
                rank.sock.close()
            case _:
                linger_reset(rank.sock)


def at_rest(server: Server) -> Holding:
    """What the server holds when nobody is connected."""
    until(lambda: server.metrics()["rendezvous_connections_open"] == 0, "all connections have ended")
    return Holding.of(server.process.pid, int(server.metrics()["rendezvous_tasks"]))
