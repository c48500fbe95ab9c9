import pytest
import vl_convert

from scripts.report.page import config
from scripts.report.sweep_figures import against, averages, best, sweep_figures, varied
from scripts.sweep.folder import SUCCEEDED
from scripts.sweep.tables import medians, run_rows
from tests.unit.scripts.sweep.measured import measured, sweep

RUNS = run_rows(sweep())
TOGETHER = medians(RUNS)
GOOD = [run for run in RUNS if run["status"] == SUCCEEDED]


def test_every_figure_draws():
    figures = sweep_figures(RUNS, TOGETHER)
    names = [figure.name for figure in figures]
    assert names == [
        *("time_by_world_size", "speed_by_world_size", "memory_by_world_size", "cost_by_world_size"),
        *("speedup", "efficiency", "cost_decrease", "averages", "value"),
    ]
    for figure in figures:
        if figure.spec:
            assert "<path" in vl_convert.vegalite_to_svg(figure.to_vega_lite(config())), figure.name


def test_speedup_efficiency_and_cost_against_one_rank():
    figures = {figure.name: figure for figure in sweep_figures(RUNS, TOGETHER)}
    walls = {1: 9.5, 2: 5.5, 4: 3.5}
    for row in figures["speedup"].rows:
        assert row[3] == pytest.approx(9.5 / walls[row[0]], rel=1e-5)
    assert figures["efficiency"].rows[-1][3] == pytest.approx(9.5 / 3.5 / 4, rel=1e-5)
    assert [row[3] for row in figures["cost_decrease"].rows] == [0.0, -1.0, -3.0]


def test_the_axis_names_each_value_as_it_is():
    runs = [{**GOOD[0], "world_size": ranks} for ranks in (1, 200, 2001, 1_048_576)]
    figure = against(runs, "world_size", "wall_s")
    drawn = vl_convert.vegalite_to_svg(figure.to_vega_lite(config()))
    assert [label for label in ("1", "200", "2,001", "1,048,576") if f">{label}</text>" not in drawn] == []


def test_averages_are_those_of_the_documents():
    assert averages(GOOD).rows[0][:3] == (1, 2, 9.5)


def test_lines_say_what_else_varied():
    runs = run_rows([measured(1, 8), measured(2, 8), measured(1, 16), measured(2, 16)])
    assert varied(runs) == ["world_size", "batch_size"]
    assert [row[:2] for row in against(runs, "world_size", "wall_s").rows][:2] == [
        (1, "batch size 8"),
        (2, "batch size 8"),
    ]


def test_the_best_for_time_cost_and_both():
    found = dict(best(TOGETHER))
    assert found["fastest"].startswith("ranks 4")
    assert found["cheapest"].startswith("ranks 1")
    assert best([]) == []


def test_runs_over_more_galaxies_are_not_slower_for_that():
    few, many = medians(run_rows([measured(1, wall_s=8.0), measured(4, wall_s=9.0, cost_usd=0.001)]))
    found = dict(best([few, {**many, "rows": 10 * few["rows"]}]))
    assert found.keys() == {"fastest, by galaxy", "cheapest, by galaxy", "best for both, by galaxy"}
    assert all(words.startswith("ranks 4, galaxies 400: 9.00 s") for words in found.values())


def test_one_run_has_no_lines():
    assert [figure.name for figure in sweep_figures(run_rows([measured(1)]), medians(run_rows([measured(1)])))] == [
        "averages",
        "value",
    ]
