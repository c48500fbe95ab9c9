from math import ceil

import pytest

from lambda_image.cost import BillingTerms
from scripts.planning.choices import choices, pareto, partition_mb, rows_of_partition
from tests.unit.scripts.planning.test_prediction import THERE

GALAXIES = 200_000


def test_each_combination_once_with_a_rank_for_each_partition():
    found = choices(THERE, GALAXIES, [25, 50, 1e6], [1769, 3538], [], 1000, BillingTerms())
    rows = rows_of_partition(THERE, 25)
    assert rows == 25 * 2**20 // 20_500
    assert [(one.case.partitions, one.case.world_size) for one in found][::2] == [
        (ceil(GALAXIES / rows),) * 2,
        (ceil(GALAXIES / rows_of_partition(THERE, 50)),) * 2,
        (1, 1),
    ]
    assert partition_mb(THERE, found[0].case) == pytest.approx(25, rel=0.02)


def test_world_sizes_beyond_the_partitions_are_one_choice():
    found = choices(THERE, 1000, [10], [1769], [1, 2, 50, 100], 1000, BillingTerms())
    assert [one.case.world_size for one in found] == [1, 2]


def test_the_front_is_what_nothing_beats():
    every = choices(
        THERE, GALAXIES, [5, 25, 100, 400], [128, 1024, 1769, 5307, 10_240], [1, 8, 64, 512], 1000, BillingTerms()
    )
    front = pareto(every)
    possible = [one for one in every if one.possible]
    assert len(possible) < len(every)
    for one in possible:
        beaten = any(
            other.total_s <= one.total_s
            and other.usd <= one.usd
            and (other.total_s, other.usd) != (one.total_s, one.usd)
            for other in possible
        )
        assert (one in front) != beaten
    assert [one.total_s for one in front] == sorted(one.total_s for one in front)


def test_nothing_is_possible():
    assert pareto(choices(THERE, GALAXIES, [25], [128], [], 1000, BillingTerms())) == []
