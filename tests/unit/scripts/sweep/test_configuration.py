from hypothesis import given
from hypothesis import strategies as st

from scripts.sweep.configuration import Configuration, grid, repeated, rows_of

NUMBERS = st.integers(1, 1000)
CONFIGURATIONS = st.builds(
    Configuration,
    NUMBERS,
    NUMBERS,
    NUMBERS,
    st.none() | st.sampled_from([10.0, 25.0, 12.5]),
    st.integers(1, 4),
    st.none() | NUMBERS,
    st.none() | NUMBERS,
    NUMBERS,
)


@given(CONFIGURATIONS, CONFIGURATIONS)
def test_two_configurations_have_two_keys(one: Configuration, other: Configuration):
    assert (one.key == other.key) == (one == other)


@given(CONFIGURATIONS)
def test_json_and_back(one: Configuration):
    assert Configuration.from_json(one.to_json()) == one


def test_published_partitions():
    assert [rows_of(size) for size in (25, 10, 0.001)] == [1253, 501, 1]
    assert Configuration(1, 1, 10 * 1253, 25).partitions == 10
    assert Configuration(1, 1, 250).partitions == 1


def test_a_grid_has_every_combination_once():
    plan = grid([1, 2], [8, 16], [100], file_limits=[None, 3])
    assert len(set(plan)) == len(plan) == 8


def test_rounds_follow_each_other():
    one, two = Configuration(1, 1, 1), Configuration(2, 1, 1)
    plan = repeated([one, two, one], 2)
    assert [(run.world_size, run.repeat) for run in plan] == [(1, 1), (2, 1), (1, 2), (2, 2)]


def test_words_for_people():
    text = str(Configuration(2, 64, 2506, 25, file_limit=1, memory_mb=3072))
    assert text == "2 x 64, 2,506 galaxies in 2 files of 25 MB, 1 files, 3,072 MB, repeat 1"
