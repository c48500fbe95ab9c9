import pytest

from scripts.bench.commit.measure import CommitResults


def test_more_than_one_is_slower_than_the_base() -> None:
    results = CommitResults()
    results.base.rounds += [{"rank_start_s": 1.0, "peak_mb": 100.0}] * 3
    results.this.rounds += [{"rank_start_s": 1.5, "peak_mb": 100.0}] * 3
    ratios = results.ratios()
    assert {name: ratio.middle for name, ratio in ratios.items()} == {"rank_start_s": 1.5, "peak_mb": 1.0}
    assert ratios["rank_start_s"].low == ratios["rank_start_s"].high == pytest.approx(1.5)


def test_the_report_has_both_commits_and_their_ratios() -> None:
    results = CommitResults()
    results.base.rounds.append({"rank_start_s": 2.0})
    results.this.rounds.append({"rank_start_s": 1.0})
    report = results.to_json()
    assert [commit["commit"] for commit in report["commits"]] == ["base", "this"]
    assert report["ratios"]["rank_start_s"]["middle"] == 0.5
