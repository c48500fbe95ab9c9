import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.comm.channel.signals import Kind
from lambda_image.comm.operations.cost_model import MEASURED, Algorithm, Costs, choose, estimates

FREE = Costs(latency=0.0, message=0.0, byte=0.0, combine=0.0)
KINDS = [Kind.BARRIER, Kind.BCAST, Kind.REDUCE, Kind.ALLREDUCE, Kind.SCAN]


@pytest.mark.parametrize("kind", KINDS)
def test_a_star_is_all_there_is_where_channels_or_the_function_leave_no_choice(kind: Kind) -> None:
    costs = Costs(latency=0.0, message=1.0, byte=1.0, combine=1.0)
    for options in ({"star_only": True}, {"associative": False}):
        assert choose(kind, 64, 1 << 20, divisible=True, costs=costs, **options) is Algorithm.STAR
    assert choose(kind, 2, 1 << 20, divisible=True, costs=costs) is Algorithm.STAR


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_are_for_what_can_be_divided(kind: Kind) -> None:
    assert choose(kind, 16, 1 << 30, divisible=False) is not Algorithm.PIECES


@pytest.mark.parametrize("kind", [Kind.BCAST, Kind.REDUCE, Kind.ALLREDUCE, Kind.SCAN])
def test_large_arrays_go_in_pieces_and_small_ones_do_not(kind: Kind) -> None:
    assert choose(kind, 16, 100_000_000, divisible=True) is Algorithm.PIECES
    assert choose(kind, 16, 8, divisible=True) is not Algorithm.PIECES


@given(st.integers(3, 64), st.integers(0, 1 << 32))
def test_pieces_are_not_for_ranks_that_share_one_processor(world_size: int, size: int) -> None:
    assert choose(Kind.BCAST, world_size, size, divisible=True, processors=1) is not Algorithm.PIECES


@given(st.integers(3, 64), st.integers(0, 1 << 32))
def test_processors_enough_for_all_are_as_one_for_each(world_size: int, size: int) -> None:
    shared = choose(Kind.BCAST, world_size, size, divisible=True, processors=10_000)
    assert shared is choose(Kind.BCAST, world_size, size, divisible=True)


def test_trees_are_for_many_ranks_where_messages_cost_more_than_waiting() -> None:
    busy = Costs(latency=0.0, message=1e-3, byte=0.0, combine=0.0)
    far = Costs(latency=1.0, message=1e-3, byte=0.0, combine=0.0)
    assert choose(Kind.BARRIER, 4, 0, costs=busy) is Algorithm.STAR
    assert choose(Kind.BARRIER, 64, 0, costs=busy) is Algorithm.TREE
    assert choose(Kind.BARRIER, 64, 0, costs=far) is Algorithm.STAR


@given(st.sampled_from(KINDS), st.integers(3, 10_000), st.integers(0, 1 << 32))
def test_everything_takes_some_time_and_more_bytes_take_longer(kind: Kind, world_size: int, size: int) -> None:
    less, more = estimates(kind, world_size, size, MEASURED), estimates(kind, world_size, 2 * size + 1, MEASURED)
    for algorithm, seconds in less.items():
        assert seconds > 0
        assert seconds <= more[algorithm]
    assert set(estimates(kind, world_size, size, FREE).values()) == {0.0}


def test_what_is_always_a_star_has_no_choice() -> None:
    with pytest.raises(ValueError, match="gather has no choice"):
        choose(Kind.GATHER, 8, 100)
