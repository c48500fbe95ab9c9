import pytest

from scripts.bench.comm.measure import compare, figures_of
from scripts.bench.comm.plan import OperationCase
from scripts.series import Series

MS = 1_000_000  # nanoseconds


def answers(*spans: tuple[int, int]) -> list[dict[str, list[int]]]:
    """Two times the same, of each rank, whose processor time is a millisecond for the first and one more for each."""
    times = enumerate(spans, 1)
    return [{"began": [begin * MS] * 2, "ended": [end * MS] * 2, "cpu": [cpu * MS] * 2} for cpu, (begin, end) in times]


def test_an_operation_lasts_from_the_first_call_to_the_last_end():
    figures = figures_of(OperationCase("barrier", 0), 3, answers((1, 5), (2, 9), (2, 8)))
    assert figures == {"ms": 8.0, "cpu_ms_of_root": 1.0, "cpu_ms_of_each_other": 2.5}


def test_a_gather_is_over_when_the_root_has_all():
    figures = figures_of(OperationCase("gather", 1_000_000), 3, answers((1, 5), (2, 9), (3, 9)))
    assert (figures["ms"], figures["mb_per_s"]) == (4.0, 500.0)


def series(kind: str, name: str, *times: float) -> Series:
    return Series({"kind": kind, "contender": name}, [{"ms": ms} for ms in times])


def test_ours_is_compared_with_the_fastest_raw_sockets_and_with_gloo():
    ours = series("ours", "ours", 2.0, 4.0)
    compare([ours, series("raw", "slow", 9.0, 9.0), series("raw", "fast", 1.0, 3.0), series("gloo", "Gloo", 6.0)])
    assert ours.rounds == [{"ms": 2.0, "share_of_raw": 0.5, "times_gloo": 3.0}, {"ms": 4.0, "share_of_raw": 0.75}]


def test_without_rivals_there_is_nothing_to_compare():
    ours = series("ours", "ours", 2.0)
    compare([ours])
    assert ours.rounds == [{"ms": 2.0}]


def test_ranks_must_answer_alike():
    with pytest.raises(ValueError, match="zip"):
        figures_of(OperationCase("barrier", 0), 2, [{"began": [1], "ended": [2]}, {"began": [], "ended": []}])
