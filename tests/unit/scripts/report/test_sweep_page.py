from scripts.report.sweep_page import sweep_page
from tests.unit.scripts.sweep.measured import sweep


def test_the_page_names_what_failed_and_what_is_left():
    page = sweep_page("out/sweep", sweep(), planned=10)
    assert page.lead == "6 runs of 10 succeeded, in 5 configurations."
    assert page.notices == [
        "8 x 32, 40 galaxies, repeat 1: failed, RanksFailed: rank 1: it was lost",
        "500 x 32, 40 galaxies, repeat 1: not run, one machine runs at most 128 ranks",
        "2 runs of the plan have not ended yet.",
    ]
    assert [section.heading for section in page.sections] == [
        *("By ranks", "Against one rank, and for the money", "All configurations"),
    ]
    assert page.facts[0][0] == "fastest"


def test_a_sweep_without_runs():
    page = sweep_page("out/sweep", [], planned=4)
    assert page.facts == []
    assert page.notices == ["4 runs of the plan have not ended yet."]
