import json
from pathlib import Path

import pytest

from lambda_image.errors import UsageError
from scripts.report.baseline import COLUMNS, Baseline, against_baselines, read_baseline
from scripts.sweep.tables import medians, run_rows
from tests.unit.scripts.sweep.measured import sweep

PUBLISHED = {"total cpu time (second)": 3.0, "total gpu time (second)": 0.0, "batch size": 16, "number of batches": 5}


def test_published_results_are_read(tmp_path: Path):
    file = tmp_path / "local.json"
    file.write_text(json.dumps(PUBLISHED))
    assert read_baseline(file) == Baseline(16, 80, 3.0)
    file.write_text(json.dumps(PUBLISHED | {"samples": 77}))
    assert read_baseline(file).samples == 77


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps(PUBLISHED | {"batch size": 0}), '{"batch size": "x"}'])
def test_anything_else_is_refused_in_one_line(text: str, tmp_path: Path):
    file = tmp_path / "local.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"is no Results\.json .*: cosmicai infer"):
        read_baseline(file)
    with pytest.raises(UsageError, match=r"absent\.json does not exist"):
        read_baseline(tmp_path / "absent.json")


def test_times_and_costs_are_those_of_as_many_galaxies():
    together = medians(run_rows(sweep()))
    figure = against_baselines(together, [Baseline(16, 40, 99.0), Baseline(32, 80, 38.0)])
    row = dict(zip(COLUMNS, figure.rows[1], strict=True))
    assert len(figure.rows) == 3
    assert (row["World Size"], row["Local Time (s)"], row["Dist Time (s)"]) == (2, 19.0, 5.5)
    assert row["Speedup"] == pytest.approx(19 / 5.5, rel=1e-5)
    assert row["Efficiency"] == pytest.approx(19 / 11, rel=1e-5)
    assert row["Local Cost ($)"] == pytest.approx(19 * 0.3712 / 3600, rel=1e-5)
    assert row["Cost Decrease"] == pytest.approx(1 - 0.002 / (19 * 0.3712 / 3600), rel=1e-4)
