from scripts.bench.commit.plan import QUICK, CommitPlan


def test_a_quick_look_is_a_small_part_of_a_measurement() -> None:
    assert 1 < QUICK.pairs < CommitPlan().pairs
    assert QUICK.galaxies is not None
    assert CommitPlan().galaxies is None


def test_each_commit_begins_half_of_the_pairs() -> None:
    assert CommitPlan().pairs % 2 == 0
