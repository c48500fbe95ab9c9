"""Operations in which a rank sends the same value to several others, which it encrypts once for all of them."""

import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from lambda_image.comm.channel.cipher import derive_key
from lambda_image.comm.channel.frames import TAG_BYTES
from lambda_image.comm.channel.handshake import Member
from lambda_image.comm.channel.sealing import SMALLEST, SealedValue, Sealing
from lambda_image.comm.channel.signals import Flag, Kind
from lambda_image.comm.operations import collectives, reduce_collectives
from lambda_image.comm.operations.cost_model import Algorithm
from lambda_image.comm.operations.reduction import REDUCTIONS
from lambda_image.errors import PeerClosed
from tests.unit.lambda_image.comm.local_group import RUN_KEY, LocalGroup, MakeGroup, RankInThread, Soon

SUM, WORLD = REDUCTIONS["sum"], 6
WORDS = b"a value for all ranks, which nobody on the way may read"


class TappedSocket(socket.socket):
    """Keeps what is sent."""

    sent: bytearray

    def send(self, data: Any, *more: Any) -> int:
        count = super().send(data, *more)
        self.sent += bytes(data)[:count]
        return count

    def sendmsg(self, buffers: Any, *more: Any) -> int:
        count = super().sendmsg(buffers, *more)
        self.sent += b"".join(buffers)[:count]
        return count


class TappedGroup(LocalGroup):
    """Whose channels' bytes are kept."""

    def __init__(self, world_size: int) -> None:
        self.taps: list[TappedSocket] = []
        super().__init__(world_size, socketpair=self._tapped)

    def _tapped(self) -> tuple[socket.socket, socket.socket]:
        one, other = (TappedSocket(fileno=end.detach()) for end in socket.socketpair())
        for end in (one, other):
            end.sent = bytearray()
        self.taps += [one, other]
        return one, other

    @property
    def wires(self) -> list[bytes]:
        """What went over each channel that carried more than a few words."""
        return [bytes(tap.sent) for tap in self.taps if len(tap.sent) >= SMALLEST]


@pytest.fixture
def tapped() -> Iterator[TappedGroup]:
    group = TappedGroup(WORLD)
    yield group
    group.close()


def force(group: LocalGroup, algorithm: Algorithm | None) -> None:
    for rank in group.ranks:
        rank.forced = algorithm


@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize("root", [0, 4])
def test_a_large_value_reaches_all_from_every_root_by_every_algorithm(
    make_group: MakeGroup, soon: Soon, algorithm: Algorithm, root: int
) -> None:
    group = make_group(WORLD)
    force(group, algorithm)
    for size in (SMALLEST, 3 * SMALLEST + 1, WORLD * SMALLEST * 5):
        value = np.random.default_rng(size).integers(0, 255, size, np.uint8)
        out = [np.empty_like(value) if rank % 2 else None for rank in range(WORLD)]
        results = group.run(
            lambda rank, value=value, out=out: collectives.bcast(
                rank, value if rank.rank == root else None, root, soon(), out[rank.rank]
            )
        )
        assert all(np.array_equal(result, value) for result in results)
        assert all(
            result is buffer
            for result, buffer in zip(results, out, strict=True)
            if buffer is not None and result is not value
        )


@pytest.mark.parametrize("algorithm", [Algorithm.STAR, Algorithm.TREE])
def test_every_receiver_of_a_bcast_is_sent_the_same_bytes_and_nobody_can_read_them(
    tapped: TappedGroup, soon: Soon, algorithm: Algorithm
) -> None:
    force(tapped, algorithm)
    value = np.frombuffer(WORDS * (SMALLEST // len(WORDS) + 1), np.uint8)
    assert all(
        np.array_equal(result, value)
        for result in tapped.run(lambda rank: collectives.bcast(rank, value if rank.rank == 0 else None, 0, soon()))
    )
    records = value.nbytes + TAG_BYTES
    assert len(tapped.wires) == WORLD - 1
    assert len({wire[-records:] for wire in tapped.wires}) == 1  # also those of a tree's inner ranks
    assert len({wire[:-records] for wire in tapped.wires}) == WORLD - 1
    nonce = next(iter(tapped.ranks[1].roster.sealing._ciphers))[2]  # type: ignore[union-attr]
    key = derive_key(RUN_KEY, nonce, b"cosmicai value for all ranks, version 4: " + bytes(8))
    for tap in tapped.taps:
        sent = bytes(tap.sent)
        assert not any(WORDS[start : start + 8] in sent for start in range(len(WORDS) - 8))
        for secret in (RUN_KEY, key, nonce):
            assert secret not in sent


@pytest.mark.parametrize("algorithm", Algorithm)
def test_values_that_all_ranks_give_each_other_are_sealed(
    tapped: TappedGroup, soon: Soon, algorithm: Algorithm
) -> None:
    force(tapped, algorithm)
    values = [np.random.default_rng(rank).integers(0, 9, WORLD * SMALLEST, np.uint8) for rank in range(WORLD)]

    def work(rank: RankInThread) -> tuple[list[Any], Any]:
        everyone = collectives.allgather(rank, values[rank.rank], soon())
        return everyone, reduce_collectives.allreduce(rank, values[rank.rank], SUM, soon())

    for everyone, total in tapped.run(work):
        assert all(map(np.array_equal, everyone, values))
        assert np.array_equal(total, sum(values))
    flags = [wire.count(bytes((Kind.ALLGATHER, Flag.SEALED))) for wire in tapped.wires]
    assert min(flags) >= 1


def test_a_value_is_passed_on_though_it_came_before_the_operation_began(make_group: MakeGroup, soon: Soon) -> None:
    """Then the sealed bytes were not kept, and the rank's own channels encrypt it."""
    group = make_group(4)
    force(group, Algorithm.TREE)
    value = np.arange(SMALLEST)

    def work(rank: RankInThread) -> Any:
        if rank.rank == 2:  # whose child is rank 3
            channel = group.channel(2, 0)
            while not channel.frames:
                channel.pump_in()
            assert not channel.frames[0].value.can_be_sent
        return collectives.bcast(rank, value if rank.rank == 0 else None, 0, soon())

    assert all(np.array_equal(result, value) for result in group.run(work))


@pytest.mark.parametrize(
    ("sealer", "words"),
    [
        (Member(3, 0), "brings a value of rank 3 (attempt 0), where rank 0's is due"),
        (Member(0, 0), "brings a value of rank 0 (attempt 0), whom rank 0 (attempt 1) has replaced"),
    ],
    ids=["another rank", "an attempt that was replaced"],
)
def test_a_peer_cannot_pass_another_ones_value_on_as_the_roots(soon: Soon, sealer: Member, words: str) -> None:
    """Rank 3's parent in the tree of 4 ranks is rank 2, which here brings what it should not."""
    group = LocalGroup(4, absent=(0,))
    group.admit(Member(0, 1))
    force(group, Algorithm.TREE)
    sealing = Sealing(RUN_KEY, sealer, group.ranks[2].memory)
    value = sealing.seal(1, Kind.BCAST, 0, np.arange(SMALLEST), 3)
    assert isinstance(value, SealedValue)

    def bring(rank: RankInThread) -> None:
        with rank.exchange(Kind.BCAST, soon()) as exchange:
            exchange.send(3, value)
            exchange.run()

    _, refused = group.run(
        lambda rank: bring(rank) if rank.rank == 2 else collectives.bcast(rank, None, 0, soon()), (2, 3)
    )
    assert isinstance(refused, PeerClosed)
    assert words in str(refused)
    assert refused.peer == 2
    group.close()


def test_a_sealed_value_reaches_no_caller_unopened(make_group: MakeGroup, soon: Soon) -> None:
    """Nobody seals in a star without channels between the others. Rank 1 does, and rank 2 is sent what it has sent."""
    group, value = make_group(3), np.arange(SMALLEST)
    for rank in (0, 2):
        group.ranks[rank].star_only = True

    def bring(rank: RankInThread) -> None:
        with rank.exchange(Kind.ALLGATHER, soon()) as exchange:
            exchange.send(0, rank.for_all(exchange, value))
            exchange.receive(0)
            exchange.receive(0)
            exchange.run()

    first, _, last = group.run(
        lambda rank: bring(rank) if rank.rank == 1 else collectives.allgather(rank, b"part", soon())
    )
    assert np.array_equal(first[1], value)
    assert np.array_equal(last[1], value)
