from rendezvous_server.counts import DIALECTS, Counts, Histogram
from rendezvous_server.effects import Outcome


def test_a_value_counts_under_the_first_bound_that_is_not_less() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 3.0):
        histogram.observe(value)
    assert histogram.counts == [2, 1, 1]
    assert histogram.sum == 6.0


def test_every_outcome_of_every_dialect_is_there_from_the_start() -> None:
    assert set(Counts().finished.values()) == {0}
    assert len(Counts().finished) == len(DIALECTS) * len(Outcome)
