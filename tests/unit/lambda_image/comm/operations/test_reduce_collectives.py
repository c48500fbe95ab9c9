"""Any algorithm, world size and dtype: the same bits as a fold in the canonical order by one who has everything."""

import functools
import itertools

import numpy as np
import pytest

from lambda_image.comm.channel.values import Value
from lambda_image.comm.operations import reduce_collectives
from lambda_image.comm.operations.cost_model import Algorithm
from lambda_image.comm.operations.reduction import REDUCTIONS, Reduction, middle
from lambda_image.errors import PeerClosed
from tests.unit.lambda_image.comm.local_group import LocalGroup, MakeGroup, RankInThread, Soon

DTYPES = ["?", "i1", "u8", "f2", "f4", "f8", ">f4", "c8"]
ALGORITHMS = list(Algorithm)
SUM = REDUCTIONS["sum"]


def reference(values: list[Value], reduction: Reduction) -> Value:
    if not reduction.associative:
        return functools.reduce(reduction.combine, values)
    if len(values) == 1:
        return values[0]
    cut = middle(0, len(values))
    return reduction.combine(reference(values[:cut], reduction), reference(values[cut:], reduction))


def sample(seed: int, dtype: str, size: int) -> np.ndarray:
    """Numbers of very different sizes, both zeros, both infinities: what shows every change of order."""
    random = np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        numbers = (random.normal(size=size) * 10.0 ** random.integers(-4, 5, size)).astype(dtype)
        numbers.flat[:: max(1, size // 5)] = np.array([0.0, -0.0, np.inf], "f8")[random.integers(0, 3)]
    return numbers


def bits(value: Value) -> bytes:
    """NaNs are alike: which one comes of two is left open."""
    array = np.asarray(value)
    if array.dtype.kind in "fc":
        array = np.where(np.isnan(array), np.nan, array).astype(array.dtype)
    return array.tobytes()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("world_size", [*range(1, 6), 8])  # tests/integration/test_reduce_collectives.py has the rest
def test_every_algorithm_gives_the_reference_bits(
    make_group: MakeGroup, soon: Soon, world_size: int, algorithm: Algorithm
) -> None:
    check_every_reduction(make_group(world_size), soon, algorithm)


def check_every_reduction(group: LocalGroup, soon: Soon, algorithm: Algorithm) -> None:
    """Have values of every type reduced by every operation, and compare what each rank has with the reference."""
    world_size = len(group.ranks)
    cases = list(zip(DTYPES, itertools.cycle(REDUCTIONS), range(world_size, world_size + len(DTYPES)), strict=False))
    for rank in group.ranks:
        rank.forced = algorithm

    def work(rank: RankInThread) -> list[tuple]:
        results = []
        for dtype, name, seed in cases:
            value, reduction = sample(100 * seed + rank.rank, dtype, 3 * seed), REDUCTIONS[name]
            before = value.copy()
            out = np.empty_like(value) if seed % 2 else None
            everywhere = reduce_collectives.allreduce(rank, value, reduction, soon(), out)
            assert out is None or everywhere is out
            results.append(
                (
                    everywhere,
                    reduce_collectives.reduce(rank, value, reduction, seed % world_size, soon()),
                    reduce_collectives.scan(rank, value, reduction, soon()),
                )
            )
            assert bits(value) == bits(before)
        return results

    outcomes = group.run(work)
    for number, (dtype, name, seed) in enumerate(cases):
        values: list[Value] = [sample(100 * seed + rank, dtype, 3 * seed) for rank in range(world_size)]
        expected = bits(reference(values, REDUCTIONS[name]))
        for rank, outcome in enumerate(outcomes):
            everywhere, reduced, prefix = outcome[number]
            assert everywhere.dtype == np.dtype(dtype)
            assert bits(everywhere) == expected
            assert (bits(reduced) == expected) if rank == seed % world_size else reduced is None
            assert bits(prefix) == bits(reference(values[: rank + 1], REDUCTIONS[name]))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("associative", [True, False])
def test_a_callers_function_sees_the_ranks_in_order(
    make_group: MakeGroup, soon: Soon, algorithm: Algorithm, associative: bool
) -> None:
    """What is combined with what shows in the result; one who is not associative is folded from the left."""
    bracket = Reduction(
        lambda left, right: b"(" + bytes(memoryview(left)) + bytes(memoryview(right)) + b")",  # type: ignore[arg-type]
        associative=associative,
    )
    letters: list[Value] = [bytes([65 + rank]) for rank in range(7)]
    group = make_group(7)
    for rank in group.ranks:
        rank.forced = algorithm
    for root in (0, 3, 6):
        results = group.run(
            lambda rank, root=root: (
                reduce_collectives.reduce(rank, letters[rank.rank], bracket, root, soon()),
                reduce_collectives.allreduce(rank, letters[rank.rank], bracket, soon()),
                reduce_collectives.scan(rank, letters[rank.rank], bracket, soon()),
            )
        )
        expected = reference(letters, bracket)
        assert expected == (b"(((AB)(CD))((EF)G))" if associative else b"((((((AB)C)D)E)F)G)")
        for rank, (reduced, everywhere, prefix) in enumerate(results):
            assert reduced == (expected if rank == root else None)
            assert everywhere == expected
            assert prefix == reference(letters[: rank + 1], bracket)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (1,), (3, 5)])
def test_arrays_of_few_items_and_odd_shapes(make_group: MakeGroup, soon: Soon, shape: tuple[int, ...]) -> None:
    group = make_group(5)
    for algorithm in ALGORITHMS:
        for rank in group.ranks:
            rank.forced = algorithm
        results = group.run(
            lambda rank: reduce_collectives.allreduce(
                rank, np.full(shape, rank.rank, "f4").T, REDUCTIONS["max"], soon()
            )
        )
        assert all(result.shape == shape[::-1] and (result == 4).all() for result in results)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_scratch_is_used_again_and_never_handed_out(make_group: MakeGroup, soon: Soon, algorithm: Algorithm) -> None:
    group = make_group(4)
    for rank in group.ranks:
        rank.forced = algorithm
    kept = [
        group.run(lambda rank, n=n: reduce_collectives.allreduce(rank, np.full(100, n), SUM, soon())) for n in range(5)
    ]
    for number, results in enumerate(kept):
        assert all((result == 4 * number).all() for result in results)


def test_a_failed_operation_leaves_the_next_one_right(make_group: MakeGroup, soon: Soon) -> None:
    group = make_group(4)
    for rank in group.ranks:
        rank.forced = Algorithm.PIECES

    def work(rank: RankInThread) -> np.ndarray:
        with pytest.raises((ValueError, PeerClosed), match=r"another size|different arrays"):
            reduce_collectives.allreduce(rank, np.ones(8 + 4 * (rank.rank == 2)), SUM, soon())
        return reduce_collectives.allreduce(rank, np.ones(8), SUM, soon())  # type: ignore[return-value]

    for result in group.run(work):
        assert isinstance(result, np.ndarray), result
        assert (result == 4).all()


@pytest.mark.parametrize("ways", list(itertools.permutations(ALGORITHMS, 2)))
def test_ranks_of_different_ways_fail_together_and_do_not_hang(
    make_group: MakeGroup, soon: Soon, ways: tuple[Algorithm, Algorithm]
) -> None:
    group = make_group(6)
    for rank in group.ranks:
        rank.forced = ways[rank.rank in (2, 3)]
    results = group.run(lambda rank: reduce_collectives.allreduce(rank, np.ones(12), SUM, soon()))
    assert all(isinstance(result, ValueError | PeerClosed) for result in results), results
    assert any("contributes an array of another size" in str(result) for result in results)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_out_must_fit_and_everybody_hears_that_it_does_not(
    make_group: MakeGroup, soon: Soon, algorithm: Algorithm
) -> None:
    group = make_group(3)
    for rank in group.ranks:
        rank.forced = algorithm

    def work(rank: RankInThread) -> Value:
        out = np.empty(3 if rank.rank == 0 else 4)
        return reduce_collectives.allreduce(rank, np.ones(4), SUM, soon(), out)

    root, *rest = group.run(work)
    assert isinstance(root, ValueError)
    assert "out has room for" in str(root)
    assert all(isinstance(error, PeerClosed) for error in rest)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_mask_is_lost_on_the_way(make_group: MakeGroup, soon: Soon, algorithm: Algorithm) -> None:
    value, group = np.ma.masked_array(np.arange(9.0), [0, 1, 0] * 3), make_group(3)
    for rank in group.ranks:
        rank.forced = algorithm
    for outcome in group.run(lambda rank: reduce_collectives.allreduce(rank, value, SUM, soon())):
        assert isinstance(outcome, TypeError | PeerClosed)
