import csv
from copy import deepcopy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from scripts.evaluate import tables
from scripts.evaluate.measuring import measure_bins
from tests.unit.scripts.evaluate.galaxies import predictions


@cache
def measured() -> list[dict]:
    return [one.to_json() for one in measure_bins(predictions(errors=True), 3, 20, np.random.default_rng(0))]


def report(images: bool = True) -> dict:
    bins = deepcopy(measured())
    interval = {"value": 0.8, "low": 0.7, "high": 0.9}
    one = {"images": "zeros", "r2": interval, "r2_change": {"value": 0.0, "low": -0.1, "high": 0.1}, "nmad": interval}
    ablated = {"galaxies": 9, "r2": interval, "replaced": [one], "line": "images", "verdict": "it sees"}
    return {"galaxies": 400, "bins": bins, "images": ablated if images else None}


def shown(table) -> str:
    console = Console(width=140, record=True, file=None, quiet=False, force_terminal=False)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_every_measure_is_shown_with_its_interval():
    text = shown(tables.whole_table(report()))
    for name, (words, _) in tables.MEASURES.items():
        assert (words in text) == (name in report()["bins"][0]["measures"])
    assert " to " in text


def test_each_group_is_named_once():
    text = shown(tables.bins_table(report()))
    assert text.count("magnitude r") == text.count("predicted redshift") == 1
    assert "in 68%" in text


def test_the_csv_has_all_that_the_report_has(tmp_path: Path):
    tables.write_csv(report(), tmp_path / "e.csv")
    rows = list(csv.DictReader((tmp_path / "e.csv").open()))
    assert len(rows) == 1 + 4 * 3 + 2
    assert (rows[0]["group"], rows[0]["bin"], rows[0]["from"], rows[0]["galaxies"]) == ("all", "", "", "400")
    nmad = report()["bins"][4]["measures"]["nmad"]
    assert [float(rows[4][f"nmad{end}"]) for end in ("", "_low", "_high")] == [
        nmad[k] for k in ("value", "low", "high")
    ]
    assert (rows[-1]["bin"], rows[-1]["r2_change_low"], rows[-2]["bin"]) == ("zeros", "-0.1", "as given")


def test_without_an_ablation_there_are_no_rows_of_it(tmp_path: Path):
    assert "images" not in [row[0] for row in tables.csv_rows(report(images=False))]


@pytest.mark.parametrize("value", [None, 0.5])
def test_an_undefined_measure_says_so(value: float | None):
    undefined = report()
    undefined["bins"][0]["measures"]["r2"] = {"value": value, "low": None, "high": None}
    assert ("undefined" in shown(tables.whole_table(undefined))) == (value is None)
