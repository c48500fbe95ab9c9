from dataclasses import replace

import numpy as np

from scripts.report.run_figures import run_figures
from scripts.report.run_page import run_page
from tests.unit.scripts.report.facts import run_facts
from tests.unit.scripts.report.test_distribution_figures import MEASURES


def test_the_page_names_ranks_that_failed_and_what_is_missing():
    page = run_page(replace(run_facts(failed=True), missing=["predictions.parquet is not there."]))
    assert page.lead == "The run failed. It predicted 40 galaxies with 2 ranks."
    assert page.notices[0] == "rank 1 failed: PartitionMissing: s3://b/d/1.pt </script> does not exist"
    assert page.notices[-1] == "predictions.parquet is not there."


def test_the_page_begins_with_how_many_galaxies_have_a_prediction():
    facts = run_facts()
    for predicted, words in ((40, "40 galaxies"), (37, "37 of 40 galaxies"), (0, "0 of 40 galaxies")):
        counted = {**facts.summary["rows"], "predicted": predicted}
        page = run_page(replace(facts, summary={**facts.summary, "rows": counted}))
        assert page.lead == f"The run succeeded. It predicted {words} with 2 ranks."


def test_every_figure_has_a_place():
    facts = run_facts(flagged=True)
    facts = replace(facts, summary={**facts.summary, "distributions": {**MEASURES, "pit": [3, 5] * 10}})
    page = run_page(facts)
    names = [figure.name for section in page.sections for figure in section.figures]
    assert len(names) == len(set(names)) == 16
    drawn = {figure.name for figure in run_figures(facts)}
    assert "pit" in drawn
    assert drawn < set(names)
    assert dict(page.facts)["R²"]


def test_a_run_without_truth_or_records():
    facts = run_facts()
    nothing = replace(facts, records=[], redshift=np.empty(0, "f4"), redshift_true=np.empty(0, "f4"))
    page = run_page(replace(nothing, summary={**facts.summary, "samples_with_truth": 0, "failed_ranks": []}))
    assert [section.heading for section in page.sections] == ["Speed", "Cost"]
