import pytest

from scripts.report.per_rank import MANY, per_rank


def test_few_ranks_have_a_mark_each():
    figure = per_rank("n", "T", "Caption.", "seconds", [("a", 0, 1.0), ("a", 1, 2.0), ("b", 0, 3.0)])
    assert figure.columns == ("measured", "rank", "seconds")
    assert figure.rows == [("a", 0, 1.0), ("a", 1, 2.0), ("b", 0, 3.0)]
    assert "Each mark is a rank" in figure.caption


def test_many_ranks_are_their_spread():
    count = MANY + 1
    figure = per_rank("n", "T", "Caption.", "seconds", [("a", rank, float(rank)) for rank in range(count)])
    (row,) = figure.rows
    assert row == ("a", count, 0.0, pytest.approx(0.05 * MANY), MANY / 2, pytest.approx(0.95 * MANY), float(MANY))
    assert len(figure.columns) == len(row)
