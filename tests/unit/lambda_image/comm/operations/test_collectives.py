"""Every operation on groups of several sizes: all ranks in one process, each in its thread."""

import functools
import json

import numpy as np
import pytest

from lambda_image.comm.channel.channel import Channel
from lambda_image.comm.channel.frame_reader import DEFAULT_MAX_PAYLOAD
from lambda_image.comm.channel.memory import SMALLEST
from lambda_image.comm.channel.signals import Flag, Kind
from lambda_image.comm.operations import collectives, reduce_collectives
from lambda_image.comm.operations.collectives import LARGEST_IN_TURN, Gathered
from lambda_image.comm.operations.reduction import REDUCTIONS, Reduction
from lambda_image.errors import PeerClosed, PeerTimeout
from tests.unit.lambda_image.comm.local_group import LocalGroup, MakeGroup, RankInThread, Soon, came, put

WORLDS = [1, 2, 4, 7]
JOIN = Reduction(lambda left, right: bytes(left) + bytes(right))


@pytest.fixture(params=WORLDS)
def group(request: pytest.FixtureRequest, make_group: MakeGroup) -> LocalGroup:
    return make_group(request.param)


def test_barrier_lets_nobody_through_before_the_last_has_come(group: LocalGroup, soon: Soon) -> None:
    called: set[int] = set()

    def work(rank: RankInThread) -> int:
        called.add(rank.rank)
        collectives.barrier(rank, soon())
        return len(called)

    assert group.run(work) == [len(group.ranks)] * len(group.ranks)


def test_bcast_from_every_root(group: LocalGroup, soon: Soon) -> None:
    for root in range(len(group.ranks)):
        value = np.arange(root + 3)
        results = group.run(
            lambda rank, root=root, value=value: collectives.bcast(
                rank, value if rank.rank == root else None, root, soon()
            )
        )
        assert all(np.array_equal(result, value) for result in results)


def test_results_in_use_are_left_alone_by_later_operations_and_the_memory_of_others_is_used_again(
    group: LocalGroup, soon: Soon
) -> None:
    def gathered(number: int) -> list[np.ndarray]:
        parts = [np.full(SMALLEST, 100 * number + rank, "i4") for rank in range(len(group.ranks))]
        results = group.run(lambda rank: collectives.gather(rank, parts[rank.rank], 0, soon(), allow_missing=False))
        received: list[np.ndarray] = results[0].parts[1:]
        return received

    def places(arrays: list[np.ndarray]) -> set[int]:
        return {array.__array_interface__["data"][0] for array in arrays}

    kept, other = gathered(1), gathered(2)
    freed = places(other)
    del other
    again = gathered(3)
    for number, arrays in ((1, kept), (3, again)):
        assert [set(array.tolist()) for array in arrays] == [{100 * number + 1 + peer} for peer in range(len(arrays))]
    assert places(again) == freed


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (["", DEFAULT_MAX_PAYLOAD + 1], "a value of 1073741825 bytes; at most 1073741824"),
        (["", -1], "a value of -1 bytes"),
        (["", True], "a value of True bytes"),
        (['["<f8", [3]]', 25], "25 bytes for an array of float64"),
        ([3, 3], "no attribute"),
        ([], "unpack"),
        (3, "unpack"),
    ],
)
def test_no_memory_is_taken_for_a_value_that_a_root_cannot_send(
    make_group: MakeGroup, soon: Soon, said: object, why: str
) -> None:
    group = make_group(3)
    put(group.channel(0, 1), json.dumps(said).encode(), kind=Kind.BCAST, flags=Flag.PIECES)
    with pytest.raises(PeerClosed, match=f"rank 0 announces what cannot be taken: .*{why}"):
        collectives.bcast(group.ranks[1], None, 0, soon())


def test_gather_of_unequal_parts_to_every_root(group: LocalGroup, soon: Soon) -> None:
    parts = [bytes([rank]) * rank * 1000 for rank in range(len(group.ranks))]
    for root in range(len(group.ranks)):
        results = group.run(
            lambda rank, root=root: collectives.gather(rank, parts[rank.rank], root, soon(), allow_missing=False)
        )
        assert results[root] == Gathered(parts)
        assert results[root].transports == {rank: "direct" for rank in range(len(parts)) if rank != root}
        assert all(result is None for rank, result in enumerate(results) if rank != root)


@pytest.mark.parametrize("size", [0, LARGEST_IN_TURN, LARGEST_IN_TURN + 1])
def test_large_parts_of_a_gather_are_taken_from_all_at_once(
    make_group: MakeGroup, soon: Soon, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, part, in_turn, await_in = make_group(3), bytes(size), list[Channel](), Channel.await_in
    root = [group.channel(0, peer) for peer in (1, 2)]
    monkeypatch.setattr(Channel, "await_in", lambda self: in_turn.append(self) or await_in(self))
    gathered, *_ = group.run(lambda rank: collectives.gather(rank, part, 0, soon(), allow_missing=False))
    assert gathered.parts == [part] * 3
    assert bool(set(root) & set(in_turn)) == (size <= LARGEST_IN_TURN and group.ranks[0].fast)


def test_allgather_and_scatter(group: LocalGroup, soon: Soon) -> None:
    parts = [b"part %d" % rank for rank in range(len(group.ranks))]
    assert group.run(lambda rank: collectives.allgather(rank, parts[rank.rank], soon())) == [parts] * len(parts)
    root = len(parts) - 1
    scattered = group.run(lambda rank: collectives.scatter(rank, parts if rank.rank == root else None, root, soon()))
    assert scattered == parts


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_of_arrays_are_those_of_numpy(group: LocalGroup, soon: Soon, name: str) -> None:
    values = [np.array([rank + 1.0, -rank, 0.5]) for rank in range(len(group.ranks))]
    function = {"sum": np.add, "min": np.minimum, "max": np.maximum, "prod": np.multiply}[name]
    expected = functools.reduce(function, values)

    def work(rank: RankInThread) -> list:
        value, reduction = values[rank.rank], REDUCTIONS[name]
        return [
            reduce_collectives.reduce(rank, value, reduction, 0, soon()),
            reduce_collectives.allreduce(rank, value, reduction, soon()),
            reduce_collectives.scan(rank, value, reduction, soon()),
        ]

    for rank, (reduced, everywhere, prefix) in enumerate(group.run(work)):
        assert np.array_equal(reduced, expected) if rank == 0 else reduced is None
        assert np.array_equal(everywhere, expected)
        assert np.array_equal(prefix, functools.reduce(function, values[: rank + 1]))


def test_a_callers_function_is_applied_in_the_order_of_ranks(group: LocalGroup, soon: Soon) -> None:
    letters = [bytes([65 + rank]) for rank in range(len(group.ranks))]
    everyone = b"".join(letters)
    root = len(letters) - 1

    def work(rank: RankInThread) -> list:
        letter = letters[rank.rank]
        return [
            reduce_collectives.reduce(rank, letter, JOIN, root, soon()),
            reduce_collectives.allreduce(rank, letter, JOIN, soon()),
            reduce_collectives.scan(rank, letter, JOIN, soon()),
        ]

    for rank, results in enumerate(group.run(work)):
        assert results == [everyone if rank == root else None, everyone, everyone[: rank + 1]]


def test_float_sums_are_the_same_bits_at_every_rank_and_every_time(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(7)
    values = [np.random.default_rng(rank).normal(size=100).astype(np.float32) for rank in range(7)]
    results = [
        result.tobytes()
        for _ in range(3)
        for result in group.run(
            lambda rank: reduce_collectives.allreduce(rank, values[rank.rank], REDUCTIONS["sum"], soon())
        )
    ]
    assert len(set(results)) == 1


def test_a_result_is_not_the_callers_own_array(make_group: MakeGroup, soon: Soon) -> None:
    value = np.ones(3)
    (result,) = make_group(1).run(lambda rank: reduce_collectives.allreduce(rank, value, REDUCTIONS["sum"], soon()))
    result += 1
    assert value.tolist() == [1, 1, 1]


def test_send_and_recv_between_any_two(make_group: MakeGroup, soon: Soon) -> None:
    def work(rank: RankInThread) -> object:
        collectives.barrier(rank, soon())
        if rank.rank == 2:
            collectives.send(rank, b"first", 1, soon())
            collectives.send(rank, np.arange(2), 1, soon())
        received = [collectives.recv(rank, 2, soon()) for _ in range(2)] if rank.rank == 1 else []
        collectives.barrier(rank, soon())
        return received

    results = make_group(3).run(work)
    assert results[1][0] == b"first"
    assert results[1][1].tolist() == [0, 1]


def test_without_confirmation_a_part_is_left_for_the_root(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(2)

    def gather(rank: RankInThread) -> object:
        return collectives.gather(rank, b"part", 0, soon(), allow_missing=False, confirm=False)

    assert group.run(gather, (1,)) == [None]
    (gathered,) = group.run(gather, (0,))
    assert gathered.parts == [b"part", b"part"]
    assert came(group.channel(1, 0)) is None  # no receipt that nobody takes


def test_gather_says_who_is_missing_and_why_and_the_others_have_receipts(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(4)
    group.channel(2, 0).close()
    results = group.run(lambda rank: collectives.gather(rank, b"part", 0, soon(), allow_missing=True), ranks=(0, 1, 3))
    assert results[0].parts == [b"part", b"part", None, b"part"]
    assert list(results[0].missing) == [2]
    assert isinstance(results[0].missing[2], PeerClosed)
    assert results[1:] == [None, None]


def test_gather_without_leave_to_miss_fails_at_the_root(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(3)
    group.channel(2, 0).close()
    root, other = group.run(
        lambda rank: collectives.gather(rank, b"part", 0, soon(), allow_missing=False), ranks=(0, 1)
    )
    assert isinstance(root, PeerClosed)
    assert root.peer == 2
    assert other is None or isinstance(other, PeerClosed)  # its part may have been received before that


@pytest.mark.parametrize("operation", ["barrier", "allgather", "allreduce", "scan"])
def test_everybody_learns_whose_death_ended_the_operation(make_group: MakeGroup, soon: Soon, operation: str) -> None:
    group = make_group(4)
    group.channel(3, 0).close()
    calls = {
        "barrier": lambda rank: collectives.barrier(rank, soon()),
        "allgather": lambda rank: collectives.allgather(rank, b"", soon()),
        "allreduce": lambda rank: reduce_collectives.allreduce(rank, b"", JOIN, soon()),
        "scan": lambda rank: reduce_collectives.scan(rank, b"", JOIN, soon()),
    }
    for error in group.run(calls[operation], ranks=(0, 1, 2)):
        assert isinstance(error, PeerClosed)
        assert error.peer == 3


def test_the_channels_of_the_living_serve_the_next_operation(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(3)
    group.channel(2, 0).close()
    assert all(
        isinstance(error, PeerClosed) for error in group.run(lambda rank: collectives.barrier(rank, soon()), (0, 1))
    )
    results = group.run(lambda rank: collectives.gather(rank, b"part", 0, soon(), allow_missing=True), (0, 1))
    assert results[0].parts == [b"part", b"part", None]


def test_contributions_that_do_not_fit_fail_everywhere_with_their_shapes(make_group: MakeGroup, soon: Soon) -> None:
    results = make_group(3).run(
        lambda rank: reduce_collectives.allreduce(rank, np.zeros(2 + rank.rank), REDUCTIONS["sum"], soon())
    )
    assert isinstance(results[0], ValueError)
    for result in results:
        assert "float64[2], float64[3]" in str(result)


def test_bytes_have_no_sum(make_group: MakeGroup, soon: Soon) -> None:
    results = make_group(2).run(lambda rank: reduce_collectives.allreduce(rank, b"1", REDUCTIONS["sum"], soon()))
    assert isinstance(results[0], TypeError)
    assert "by a function of the caller's" in str(results[1])


def test_the_root_gives_what_is_spread(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(2)
    for call in (
        lambda rank: collectives.bcast(rank, None, 0, soon()),
        lambda rank: collectives.scatter(rank, [b"only one"], 0, soon()),
    ):
        root, other = group.run(call)
        assert isinstance(root, TypeError)
        assert isinstance(other, PeerClosed)


def test_a_barrier_has_a_deadline(make_group: MakeGroup) -> None:
    (error,) = make_group(2).run(lambda rank: collectives.barrier(rank, 0.0), ranks=(1,))
    assert isinstance(error, PeerTimeout)
    assert "rank 1, barrier: rank 0" in str(error)
