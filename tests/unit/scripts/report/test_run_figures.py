import re

import pytest
import vl_convert

from scripts.report.page import config
from scripts.report.run_figures import run_figures
from tests.unit.scripts.report.facts import run_facts


@pytest.mark.parametrize("count", [1, 2])
def test_every_figure_draws(count: int):
    for figure in run_figures(run_facts(count, flagged=True)):
        if figure.spec:
            assert "<path" in vl_convert.vegalite_to_svg(figure.to_vega_lite(config())), figure.name


def test_what_a_run_has_numbers_for():
    names = [figure.name for figure in run_figures(run_facts(flagged=True))]
    assert names == [
        *("timeline", "phases", "throughput", "predicted", "residuals", "residual_histogram"),
        *("flags", "flagged_galaxies", "cost", "transports", "starts", "memory", "s3_times"),
    ]


def test_parts_of_the_cost_add_up():
    facts = run_facts()
    cost = next(figure for figure in run_figures(facts) if figure.name == "cost")
    assert sum(row[1] for row in cost.rows) == pytest.approx(facts.summary["cost_usd"], abs=1e-8)


def test_cold_and_warm_starts_are_apart():
    facts = run_facts(2)
    facts.records[1]["phases"]["cold_start_s"] = 0.0
    starts = next(figure for figure in run_figures(facts) if figure.name == "starts")
    assert starts.rows == [("cold start", 0, 1.0), ("warm start", 1, 0.0)]
    assert starts.caption.startswith("1 rank of 2 found")


@pytest.mark.parametrize("parts", [1, 2, 9, 2500])
def test_counts_of_parts_are_whole_and_each_stands_once(parts: int):
    facts = run_facts()
    facts.summary["transports"] = {"direct": parts, "self": 1}
    (figure,) = (figure for figure in run_figures(facts) if figure.name == "transports")
    shown = re.findall(r">([\d,]+)</text>", vl_convert.vegalite_to_svg(figure.to_vega_lite(config())))
    assert len(shown) == len(set(shown)) > 1
