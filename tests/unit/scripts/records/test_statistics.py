"""Held against pandas and SciPy, which compute the same in their own ways."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lambda_image.errors import UsageError
from scripts.records.reading import MEMORY, RATE, S3, TIME, RecordedRun
from scripts.records.statistics import MEAN, OutlierRule, distributions, parse_rule, row_of, with_means
from tests.unit.scripts.records.test_reading import published

TUKEY = OutlierRule(1.5)
numbers = st.floats(0, 1e9, allow_subnormal=False)


def made(seed: int, count: int = 41, name: str = "1") -> RecordedRun:
    """Ranks of which some are slow, as cold ones are."""
    rng = np.random.default_rng(seed)
    times = rng.lognormal(1.7, 0.05, count) * np.where(rng.random(count) < 0.1, 3, 1)
    records = [
        published(
            **{TIME: float(time), MEMORY: float(rng.normal(17e3, 5)), RATE: float(2e8 / time)},
            **{key: float(rng.random()) for key in S3},
        )
        for time in times
    ]
    return RecordedRun("made", records, name, 25, 1)


def by_pandas(run: RecordedRun) -> dict[str, Any]:
    """The published statistics once more, by quantiles of pandas."""
    frame = pd.DataFrame([dict(record) for record in run.records])
    low, high = frame[TIME].quantile(0.25), frame[TIME].quantile(0.75)
    margin = 1.5 * stats.iqr(frame[TIME])
    found = {
        TIME: frame.loc[frame[TIME].between(low - margin, high + margin), TIME].mean(),
        MEMORY: frame[MEMORY].sum(),
        RATE: frame[RATE].sum(),
        "total_bits": (frame[RATE] * frame[TIME]).sum(),
    }
    if S3[0] in frame:
        found |= {S3[0]: frame[S3[0]].sum()} | {key: frame[key].mean() for key in S3[1:]}
    return found


@pytest.mark.parametrize("seed", range(5))
def test_a_run_is_as_pandas_has_it(seed: int):
    run = made(seed)
    row = row_of(run, TUKEY)
    for key, value in by_pandas(run).items():
        assert row.values[key] == pytest.approx(value, rel=1e-12), key
    assert row.ranks == 41


def test_the_published_file_is_as_pandas_has_it_and_as_it_was_published(shared: Path):
    content = json.loads((shared / "reference/published_combined_data_25MB_1GB.json").read_bytes())
    row = row_of(RecordedRun("published", content, "1", 25, 1), TUKEY)
    for key, value in by_pandas(RecordedRun("published", content, "1", 25, 1)).items():
        assert row.values[key] == pytest.approx(value, rel=1e-12), key
    rounded = [round(float(row.values[key] or 0), 2) for key in (TIME, MEMORY, RATE, "total_bits")]
    assert rounded == [5.6, 732451.57, 1506039734.24, 8601655680.0]  # the line of the published result_stats.csv
    assert (row.outliers, row.values[S3[0]]) == (2, None)


def test_repeats_are_followed_by_their_mean():
    runs = [made(1, name="2"), made(2, 40, name="1"), made(3, name="10"), made(4)]
    other = RecordedRun("other", made(5).records, "1", 50, 1)
    unknown = RecordedRun("unknown", [{TIME: 1.0}], "x")
    rows = with_means([row_of(run, TUKEY) for run in (other, unknown, *runs[:3])])
    assert [(row.values["partition (MB)"], row.values["run"]) for row in rows] == [
        (25, "1"),
        (25, "2"),
        (25, "10"),
        (25, MEAN),
        (50, "1"),
        (None, "x"),
    ]
    frame = pd.DataFrame([by_pandas(run) for run in runs[:3]]).mean()
    for key, value in frame.items():
        assert rows[3].values[key] == pytest.approx(value, rel=1e-12), key
    assert rows[3].ranks == 122


def test_by_batch_size():
    small = RecordedRun("small", [published(batch_size=32)], "1", 25, 1)
    rows = with_means([row_of(run, TUKEY) for run in (made(1), small, made(2, name="2"))], "batch")
    assert [(row.values["batch_size"], row.values["run"]) for row in rows] == [
        (32, "1"),
        (512, "1"),
        (512, "2"),
        (512, MEAN),
    ]


def test_what_paths_do_not_tell_follows_from_the_bits():
    records = [{RATE: 8 * 2**20 * 50.0, TIME: 2.0, "data_path": ["a", "b", "c", "d"]}] * 2
    row = row_of(RecordedRun("ours", records, "demo"), TUKEY)
    assert (row.values["partition (MB)"], row.values["data (GB)"]) == (25.0, 0.2)


def test_a_run_that_lacks_everything_has_empty_cells():
    row = row_of(RecordedRun("x", [{TIME: 3.0}], "1"), TUKEY)
    assert [row.values[key] for key in (TIME, MEMORY, RATE, "total_bits", "data (GB)")] == [3.0, None, None, None, None]
    assert with_means([row])[0] is row


@given(st.lists(numbers, min_size=1, max_size=60), st.sampled_from([0.0, 1.5, 3.0]))
def test_outliers_are_those_of_the_box_plot(values: list[float], ranges: float):
    frame = pd.Series(values)
    low, high = frame.quantile(0.25), frame.quantile(0.75)
    inside = frame[frame.between(low - ranges * (high - low), high + ranges * (high - low))]
    assert len(OutlierRule(ranges).kept(values)) == pytest.approx(len(inside), abs=0 if high > low else len(values))


def test_no_rule_keeps_all():
    assert OutlierRule(None).kept([1.0, 1.0, 100.0]).tolist() == [1.0, 1.0, 100.0]
    assert OutlierRule(1.5).kept([]).tolist() == []


def test_a_distribution_is_as_scipy_describes_it():
    run = made(7)
    values = np.array(run.values(TIME))
    described = stats.describe(values)
    one = next(found for found in distributions(run, TUKEY) if found.key == TIME)
    assert (one.count, one.least, one.most) == (described.nobs, *described.minmax)
    assert one.mean == pytest.approx(described.mean, rel=1e-12)
    assert one.sd == pytest.approx(described.variance**0.5, rel=1e-12)
    assert one.median == pytest.approx(stats.scoreatpercentile(values, 50), rel=1e-12)
    assert one.mean_without == pytest.approx(by_pandas(run)[TIME], rel=1e-12)
    assert distributions(RecordedRun("x", [{TIME: 3.0}], "1"), TUKEY)[0].sd is None


@pytest.mark.parametrize(("text", "ranges"), [("1.5iqr", 1.5), ("3iqr", 3.0), ("none", None)])
def test_rules(text: str, ranges: float | None):
    assert parse_rule(text) == OutlierRule(ranges)


@pytest.mark.parametrize("text", ["", "iqr", "-1iqr", "3sd", "1.5 iqr"])
def test_what_is_no_rule_is_refused(text: str):
    with pytest.raises(UsageError, match="--outliers is"):
        parse_rule(text)
