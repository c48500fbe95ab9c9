from dataclasses import replace

import vl_convert

from scripts.report.distribution_figures import distribution_figures
from scripts.report.page import config
from tests.unit.scripts.report.facts import run_facts

MEASURES = {
    "galaxies": 90,
    "with_truth": 80,
    "coverage_68": 0.7,
    "coverage_95": 0.94,
    "pit_ks": 0.02,
    "cde_loss": -17.0,
}


def test_pit_is_drawn_with_the_measures_in_words():
    facts = run_facts()
    facts = replace(facts, summary={**facts.summary, "distributions": {**MEASURES, "pit": [3, 5] * 10}})
    (figure,) = distribution_figures(facts)
    assert (len(figure.rows), figure.rows[0], figure.rows[-1]) == (20, (0.0, 0.05, 3), (0.95, 1.0, 5))
    assert "of 80 galaxies" in figure.caption
    assert "70.0% of true redshifts lie within 68% and 94.0% within 95%" in figure.caption
    assert "<path" in vl_convert.vegalite_to_svg(figure.to_vega_lite(config()))


def test_a_run_without_distributions_or_truth_has_no_figure():
    facts = run_facts()
    assert list(distribution_figures(facts)) == []
    unknown = {**MEASURES, "with_truth": 0, "pit": None}
    assert list(distribution_figures(replace(facts, summary={**facts.summary, "distributions": unknown}))) == []
