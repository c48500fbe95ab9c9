"""How ranks find each other and what they do if they cannot: a real rendezvous server, real sockets, paths that fail.

Everything is on loopback here; NATs and firewalls are in tests/network.
"""

import os
import random
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from typing import Any

import numpy as np
import pytest

from lambda_image.comm.channel.channel import ChannelSettings
from lambda_image.comm.channel.frames import RECORD_BYTES
from lambda_image.comm.channel.handshake import Handshake, Member
from lambda_image.comm.channel.transport import Transport
from lambda_image.comm.connecting.candidates import RELAY_AFTER_S, Candidate, OwnEndpoints, candidates
from lambda_image.comm.connecting.group_name import group_name
from lambda_image.comm.connecting.peering import Plan
from lambda_image.comm.roster import Lost, outlook
from lambda_image.errors import (
    PeerTimeout,
    PeerUnreachable,
    RendezvousRejected,
    RendezvousTimeout,
    RendezvousUnreachable,
)
from rendezvous_server.protocol import ClientConnection, Join, Joined, Peer, Topology
from tests.channels import receive, send
from tests.integration.communicators import (
    PATIENCE_S,
    RUN_KEY,
    SERVER_KEY,
    SHORT_S,
    in_threads,
    join,
    part_of,
    patience,
    serving,
)
from tests.integration.connecting import Path, Rank
from tests.integration.rendezvous import until

DIRECT, PUNCHED, RELAYED = Transport
STALL_BYTES = 20_000


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with serving(RENDEZVOUS_KEY=SERVER_KEY.decode()) as (address, _):
        yield address


@pytest.fixture
def run_id(request: pytest.FixtureRequest) -> str:
    return request.node.name


def nothing(rank: int, own: OwnEndpoints, peer: Peer) -> list[Candidate]:
    return []


def only_relay(rank: int, own: OwnEndpoints, peer: Peer) -> list[Candidate]:
    return [Candidate(RELAYED, None, 0.0)]


def assert_one_channel(lower: Rank, higher: Rank, transport: Transport) -> None:
    """The same one at both ends, as a megabyte each way shows."""
    ends = lower.channel, higher.channel
    parts = [random.randbytes(1 << 20) for _ in ends]
    with ThreadPoolExecutor(2) as pool:
        sending = [pool.submit(send, end, part, patience()) for end, part in zip(ends, parts, strict=True)]
        received = [receive(end, patience()) for end in reversed(ends)]
        for each in sending:
            each.result()
    assert received == parts
    assert {end.transport for end in ends} == {transport}
    assert lower.roster.former_channels() == higher.roster.former_channels() == []
    assert all(end.connect_s >= 0 for end in ends)


def test_where_no_dial_gets_through_the_server_carries(endpoint: str, run_id: str) -> None:
    with Rank(endpoint, run_id, 0, only_relay) as lower, Rank(endpoint, run_id, 1, only_relay) as higher:
        assert_one_channel(lower, higher, RELAYED)


@pytest.mark.parametrize("plan", [candidates, only_relay])
def test_segments_are_kept_small_on_every_way(endpoint: str, run_id: str, plan: Plan) -> None:
    settings = ChannelSettings(max_segment=1000)
    with (
        Rank(endpoint, run_id, 0, plan, settings=settings) as lower,
        Rank(endpoint, run_id, 1, plan, settings=settings) as higher,
    ):
        for channel in (lower.channel, higher.channel):
            with socket.socket(fileno=os.dup(channel.fileno())) as sock:
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= 1000


def test_a_path_that_stalls_after_20_kb_loses_to_the_relay(endpoint: str, run_id: str) -> None:
    with ExitStack() as stack:
        paths: list[Path] = []

        def plan(rank: int, own: OwnEndpoints, peer: Peer) -> list[Candidate]:
            if rank > peer.rank:
                paths.append(stack.enter_context(closing(Path(peer.local[0], limit=STALL_BYTES))))
                return [Candidate(DIRECT, paths[-1].endpoint, 0.0), Candidate(RELAYED, None, RELAY_AFTER_S)]
            return [Candidate(RELAYED, None, RELAY_AFTER_S)]

        lower, higher = (stack.enter_context(Rank(endpoint, run_id, rank, plan)) for rank in range(2))
        assert_one_channel(lower, higher, RELAYED)
        assert paths[0].stalled
        assert len(paths[0].carried[0]) == STALL_BYTES
        assert lower.connector.rejected_connections == higher.connector.rejected_connections == 0


def test_of_many_ways_that_work_one_becomes_the_channel_at_both_ends(endpoint: str, run_id: str) -> None:
    with ExitStack() as stack:

        def plan(rank: int, own: OwnEndpoints, peer: Peer) -> list[Candidate]:
            path = stack.enter_context(closing(Path(peer.local[0])))
            return [
                Candidate(DIRECT, peer.local[0], 0.0),
                Candidate(DIRECT, path.endpoint, 0.0),
                Candidate(RELAYED, None, 0.0),
            ]

        for turn in range(5):
            with (
                Rank(endpoint, f"{run_id} {turn}", 0, plan) as lower,
                Rank(endpoint, f"{run_id} {turn}", 1, plan) as higher,
            ):
                assert_one_channel(lower, higher, DIRECT)
                assert lower.connector.rejected_connections == higher.connector.rejected_connections == 0


def test_a_bit_that_flips_during_the_handshake_costs_one_connection(endpoint: str, run_id: str) -> None:
    flips = iter([50])  # once, in the first greeting's nonce

    def flip(data: bytes) -> bytes:
        index = next(flips, None)
        return data if index is None else data[:index] + bytes((data[index] ^ 1,)) + data[index + 1 :]

    with ExitStack() as stack:

        def plan(rank: int, own: OwnEndpoints, peer: Peer) -> list[Candidate]:
            if rank < peer.rank:
                return []
            path = stack.enter_context(closing(Path(peer.local[0], change=flip)))
            return [Candidate(DIRECT, path.endpoint, 0.0)]

        lower, higher = (stack.enter_context(Rank(endpoint, run_id, rank, plan)) for rank in range(2))
        assert_one_channel(lower, higher, DIRECT)
        assert next(flips, None) is None


def detour(stack: ExitStack) -> tuple[list[Path], Callable[[int, OwnEndpoints, Peer], list[Candidate]]]:
    """A plan by which the higher rank dials through a path of its own, and all such paths."""
    paths: list[Path] = []

    def plan(rank: int, own: OwnEndpoints, peer: Peer) -> list[Candidate]:
        if rank < peer.rank:
            return []
        paths.append(stack.enter_context(closing(Path(peer.local[0]))))
        return [Candidate(DIRECT, paths[-1].endpoint, 0.0)]

    return paths, plan


@pytest.mark.parametrize("how", ["flipped", "repeated"])
def test_bytes_that_are_changed_or_come_twice_end_the_channel_and_reach_nobody(
    endpoint: str, run_id: str, how: str
) -> None:
    with ExitStack() as stack:
        paths, plan = detour(stack)
        lower, higher = (stack.enter_context(Rank(endpoint, run_id, rank, plan)) for rank in range(2))
        assert_one_channel(lower, higher, DIRECT)
        if how == "flipped":
            paths[0].change = lambda data: data[:-1] + bytes((data[-1] ^ 1,))
        else:
            paths[0].change = lambda data: data + data
        send(higher.channel, b"one", patience())
        if how == "repeated":
            assert receive(lower.channel, patience()) == b"one"
        with pytest.raises(ConnectionError, match="cannot be trusted"):
            receive(lower.channel, patience())
        assert lower.channel.refused


def windows(data: bytes | bytearray, size: int = 8) -> np.ndarray:
    """All pieces of so many bytes, sorted. That two of random bytes are alike has a chance of one in billions."""
    pieces = np.lib.stride_tricks.sliding_window_view(np.frombuffer(data, np.uint8), size)
    return np.sort(pieces.copy().view("u8").reshape(-1))


def share_found(known: np.ndarray, seen: np.ndarray) -> float:
    places = np.minimum(np.searchsorted(seen, known), len(seen) - 1)
    return float(np.mean(seen[places] == known))


@pytest.mark.parametrize("encrypted", [True, False], ids=["encrypted", "bare"])
def test_who_reads_every_byte_on_the_way_finds_nothing_of_values_and_keys(
    endpoint: str, run_id: str, encrypted: bool
) -> None:
    draw = np.random.default_rng(0)
    values = [draw.bytes(100), draw.random((50, 7)), draw.bytes(3 * RECORD_BYTES + 1000), draw.random(20_000)]
    settings = ChannelSettings(encrypted=encrypted)
    with ExitStack() as stack:
        paths, plan = detour(stack)
        lower, higher = (
            stack.enter_context(Rank(endpoint, run_id, rank, plan, settings=settings)) for rank in range(2)
        )
        assert_one_channel(lower, higher, DIRECT)
        keys = [RUN_KEY]
        for channel in (lower.channel, higher.channel):
            ciphers = [half._cipher for half in (channel._writer, channel._reader)]
            keys += [cipher._key for cipher in ciphers if cipher is not None]
        with ThreadPoolExecutor(1) as pool:
            for value in values:
                for sender, receiver in ((lower, higher), (higher, lower)):
                    receipt = pool.submit(send, sender.channel, value, patience())
                    assert memoryview(receive(receiver.channel, patience())).tobytes() == memoryview(value).tobytes()
                    receipt.result()
        for way in (paths[0].carried[0], paths[0].answered[0]):
            assert len(way) > sum(memoryview(value).nbytes for value in values)
            seen = windows(way)
            for secret in keys:
                assert share_found(windows(secret), seen) == 0
            for value in values:
                found = share_found(windows(memoryview(value).tobytes()), seen)
                assert found == (0 if encrypted else 1)
            assert (b'"<f8"' in way) is not encrypted  # nor what a value is


def test_a_conversation_that_was_overheard_opens_nothing_when_it_is_repeated(endpoint: str, run_id: str) -> None:
    with ExitStack() as stack:
        paths, plan = detour(stack)
        lower, higher = (stack.enter_context(Rank(endpoint, run_id, rank, plan)) for rank in range(2))
        assert_one_channel(lower, higher, DIRECT)
        with socket.create_connection(lower.connector.local[0]) as stranger, suppress(OSError):
            stranger.sendall(paths[0].carried[0])
            stranger.shutdown(socket.SHUT_WR)
            while stranger.recv(1 << 16):
                pass
        until(lambda: lower.connector.rejected_connections == 1)
        assert_one_channel(lower, higher, DIRECT)


def test_strangers_change_nothing_and_are_counted(endpoint: str, run_id: str) -> None:
    way = (Transport.DIRECT, Member(0, 0))
    one = Handshake(
        bytes(32), Member(1, 0), way=way, encrypted=True, probe=True, nonce=bytes(32)
    )  # rank 1, without the key
    hello = one.greet()
    with join(endpoint, 0, 2, run_id) as root:
        until(lambda: root.local_endpoints)
        for garbage in (b"GET / HTTP/1.1\r\n\r\n" * 10, os.urandom(1000), hello + bytes(32), hello + hello, b""):
            with socket.create_connection(root.local_endpoints[0]) as stranger, suppress(OSError):
                stranger.sendall(garbage)
                stranger.shutdown(socket.SHUT_WR)
                while stranger.recv(1000):
                    pass
        silent = socket.create_connection(root.local_endpoints[0])
        with join(endpoint, 1, 2, run_id) as other, ThreadPoolExecutor(1) as pool, silent:
            receipt = pool.submit(other.gather, b"part", deadline=patience())
            gathered = root.gather(b"root", deadline=patience())
            receipt.result()
        assert gathered is not None
        assert gathered.parts == [b"root", b"part"]
        until(lambda: root.rejected_connections >= 5)
        assert [peer.rank for peer in root.peers()] == [1]


def test_a_member_of_the_group_without_the_runs_key_gets_no_channel(endpoint: str, run_id: str) -> None:
    name = group_name(run_id, RUN_KEY)  # which it has learned somehow
    with join(endpoint, 0, 2, run_id) as root, Rank(endpoint, name, 1, run_key=bytes(32)) as other:
        until(root.peers)
        until(lambda: other.roster.at(0))
        with pytest.raises(PeerTimeout, match="rank 1 had joined but not connected"):
            root.barrier(deadline=time.monotonic())


def test_a_peer_to_which_no_way_leads_is_unreachable_and_every_way_is_told(endpoint: str, run_id: str) -> None:
    wrong = {"run_key": bytes(32), "dial_limit_s": 2.0}  # in which it dials once at least, on a busy machine, too
    with Rank(endpoint, run_id, 0, nothing), Rank(endpoint, run_id, 1, **wrong) as higher:  # type: ignore[arg-type]
        until(lambda: (peer := higher.roster.at(0)) and peer.unreachable)
        view = outlook(higher.roster.at(0), None, time.monotonic())
        assert isinstance(view, Lost)
        assert view.kind is PeerUnreachable
        assert "within 2 s (direct 127.0.0.1 port " in view.reason
        assert "it claims to be rank 0 (attempt 0) but does not hold" in view.reason


def test_a_busy_server_is_asked_again(run_id: str) -> None:
    def work(rank: int) -> object:
        with join(address, rank, 3, run_id) as communicator:
            return communicator.barrier(deadline=patience())

    with serving(RENDEZVOUS_JOIN_BURST="1", RENDEZVOUS_JOIN_RATE="4") as (address, _):
        assert in_threads(work, 0, 1, 2) == [None] * 3


def test_without_a_server_everything_ends_by_the_deadline(run_id: str) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen: the port is nobody else's meanwhile
        address, began = f"127.0.0.1:{nobody.getsockname()[1]}", time.monotonic()
        with join(address, 0, 3, run_id):  # which is not a barrier
            pass
        with join(address, 0, 3, run_id, deadline=time.monotonic() + SHORT_S) as communicator:
            with pytest.raises(RendezvousUnreachable, match=f"{address} .*: Connection refused"):
                communicator.barrier(deadline=patience())
            gathered = communicator.gather(b"", deadline=patience(), allow_missing=True)
            assert gathered is not None
            assert gathered.parts == [b"", None, None]
            assert {type(error) for error in gathered.missing.values()} == {RendezvousUnreachable}
    assert time.monotonic() - began < PATIENCE_S / 2


def test_a_server_that_does_not_answer_times_out(run_id: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        join(f"127.0.0.1:{mute.getsockname()[1]}", 0, 2, run_id, deadline=time.monotonic() + SHORT_S) as communicator,
        pytest.raises(RendezvousTimeout, match="did not answer the join"),
    ):
        communicator.barrier(deadline=patience())


def test_a_group_that_expires_names_who_is_missing_and_keeps_its_connections(run_id: str) -> None:
    def work(rank: int) -> object:
        with join(address, rank, 3, run_id) as communicator:
            until(lambda: communicator.failure)
            return communicator.gather(part_of(rank), deadline=patience(), allow_missing=True)

    with serving(RENDEZVOUS_GROUP_TIMEOUT_S="2") as (address, _):  # in which the two come
        root, other = in_threads(work, 0, 2)
    assert root.parts == [part_of(0), None, part_of(2)]
    assert isinstance(root.missing[1], RendezvousTimeout)
    assert "rank 1 missing" in str(root.missing[1])
    assert other is None


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"rendezvous_key": None}, "proof is missing"), ({"rendezvous_key": b"wrong"}, "another key")],
)
def test_a_refused_join_says_why(endpoint: str, run_id: str, options: dict[str, Any], reason: str) -> None:
    with join(endpoint, 1, 2, run_id, **options) as communicator, pytest.raises(RendezvousRejected, match=reason):
        communicator.barrier(deadline=patience())


def test_another_world_size_is_refused(endpoint: str, run_id: str) -> None:
    with join(endpoint, 0, 2, run_id) as first:
        until(lambda: first.local_endpoints)
        with join(endpoint, 1, 3, run_id) as other, pytest.raises(RendezvousRejected, match="world"):
            other.barrier(deadline=patience())


def test_connections_outlive_the_server(run_id: str) -> None:
    with serving() as (address, server), join(address, 0, 2, run_id) as root, join(address, 1, 2, run_id) as other:
        in_threads(lambda rank: (root, other)[rank].barrier(deadline=patience()), 0, 1)
        server.kill()
        until(lambda: root.failure and other.failure)
        assert isinstance(root.failure, RendezvousUnreachable)
        root_result, receipt = in_threads(
            lambda rank: (root, other)[rank].gather(part_of(4), deadline=patience()), 0, 1
        )
        assert root_result.parts == [part_of(4)] * 2
        assert receipt is None


def test_ranks_join_again_when_the_server_comes_back(run_id: str) -> None:
    """Those that are connected stay so, and find those that come only now."""
    with ExitStack() as stack:
        address, server = stack.enter_context(serving())
        ranks = [stack.enter_context(join(address, rank, 3, run_id, topology=Topology.FULL)) for rank in range(2)]
        until(lambda: all(rank.peers() and rank.peers()[0].transport for rank in ranks))
        ranks[0].send(b"before", 1, deadline=patience())
        server.kill()
        until(lambda: all(rank.failure for rank in ranks))
        stack.enter_context(serving(port=int(address.rpartition(":")[2])))
        until(lambda: not any(rank.failure for rank in ranks))
        ranks.append(stack.enter_context(join(address, 2, 3, run_id, topology=Topology.FULL)))
        assert ranks[1].recv(0, deadline=patience()) == b"before"
        assert in_threads(lambda rank: ranks[rank].barrier(deadline=patience()), 0, 1, 2) == [None] * 3


def test_with_the_deployments_key_alone_nobody_finds_a_run(endpoint: str, run_id: str) -> None:
    """By name one could push its ranks out with the last attempt, or shut the name with another world size."""
    stranger_key = bytes(32)
    with (
        join(endpoint, 0, 3, run_id, run_key=stranger_key),  # before the run: as the name's first world size
        join(endpoint, 0, 2, run_id) as root,
        join(endpoint, 1, 2, run_id) as other,
        join(endpoint, 0, 2, run_id, run_key=stranger_key, attempt=65_535),
        ThreadPoolExecutor(2) as pool,
    ):
        for plain_name in (Join(run_id, 0, 2, 65_535), Join(run_id, 1, 2, 65_535)):
            client = socket.create_connection(("127.0.0.1", int(endpoint.rpartition(":")[2])))
            connection = ClientConnection(plain_name, SERVER_KEY)
            heard: list[object] = []
            with client:
                while not heard:
                    client.sendall(connection.data_to_send())
                    heard += connection.receive_data(client.recv(1 << 16))
            assert isinstance(heard[0], Joined)
        gathers = [pool.submit(rank.gather, part_of(rank.rank), deadline=patience()) for rank in (root, other)]
        gathered = gathers[0].result()
        assert gathered is not None
        assert [bytes(part) for part in gathered.parts] == [part_of(0), part_of(1)]


def test_what_a_refusal_says_does_not_tell_how_the_group_is_found(endpoint: str, run_id: str) -> None:
    with join(endpoint, 0, 2, run_id) as first:
        until(lambda: first.local_endpoints)  # has joined, so that its world size is the group's
        refused = pytest.raises(RendezvousRejected, match=f"the group '{run_id}' was started with 2")
        with join(endpoint, 1, 3, run_id) as wrong, refused as caught:
            wrong.barrier(deadline=patience())
        assert group_name(run_id, RUN_KEY).rpartition(":")[2] not in f"{caught.value} {caught.value.reason}"
