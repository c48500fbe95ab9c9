import pytest

from scripts.report.timeline import phases, starts_of, timeline
from tests.unit.scripts.report.facts import START, records, run_facts


def test_phases_follow_each_other_from_the_first_process_on():
    figure = timeline(run_facts(2))
    of_second = [row[1:5] for row in figure.rows if row[0] == 1]
    assert of_second == [("cold start", 1.0, 2.0, 1.0), ("infer", 2.0, 4.0, 2.0), ("other", 4.0, 6.0, 2.0)]


def test_orders():
    ranks = records(3, apart_s=-1.0)  # the last begins first
    ranks[1]["phases"]["total_s"] = 9.0
    facts = run_facts(3)
    object.__setattr__(facts, "records", ranks)
    places = {row[0]: row[5:] for row in timeline(facts).rows}
    assert places == {0: (2, 1), 1: (1, 0), 2: (0, 2)}


@pytest.mark.parametrize("change", ["none", "missing", "clock"])
def test_clocks_that_cannot_be_compared(change: str):
    ranks = records(2)
    if change == "missing":
        del ranks[1]["s3_first_request_time"]
    elif change == "clock":
        ranks[1]["s3_first_request_time"] = START - 3 * 3600
    expected = [1.0, 2.0] if change == "none" else None
    assert starts_of(ranks, 6.0) == expected


def test_ranks_whose_clocks_disagree_begin_together_and_the_page_says_so():
    facts = run_facts(2)
    facts.records[1]["s3_first_request_time"] = START - 3 * 3600
    figure = timeline(facts)
    assert {row[2] for row in figure.rows if row[1] == "cold start"} == {-1.0}
    assert "clocks disagree" in figure.caption


def test_phases_of_all_ranks():
    rows = phases(run_facts(2)).rows
    assert [row for row in rows if row[0] == "infer"] == [("infer", 0, 2.0), ("infer", 1, 2.0)]
