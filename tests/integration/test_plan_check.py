"""A run on this machine predicts itself. How far it predicts others, `cosmicai plan --check` measures in minutes."""

import pytest

from scripts.planning.check import MEASURED_AT, PARTITIONS, check


def test_a_run_predicts_itself():
    world, rows = MEASURED_AT
    said: list[str] = []
    measured, (case,) = check(said.append, [world], [rows], repeats=1)
    assert (measured.local, measured.ranks, measured.galaxies) == (True, world, rows * PARTITIONS)
    assert (case.world_size, case.rows, len(case.walls_s)) == (world, rows, 1)
    assert case.predicted_s == pytest.approx(case.median_s, rel=0.25)  # its ranks need not end together
    assert len(said) == 2
