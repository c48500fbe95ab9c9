"""The report of `cosmicai evaluate` as tables: for people, and as CSV."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from scripts.console import plain_table
from scripts.evaluate.groups import ALL

MEASURES = {  # by their keys in the report: what they are called, and their format
    "r2": ("R²", ".4f"),
    "mae": ("MAE", ".4f"),
    "mse": ("MSE", ".6f"),
    "mean_error": ("bias of Δz", "+.4f"),
    "bias": ("bias of Δz/(1+z)", "+.4f"),
    "nmad": ("NMAD", ".4f"),
    "sigma": ("σ of Δz/(1+z)", ".4f"),  # noqa: RUF001
    "outliers_005": ("outliers beyond 0.05", ".2%"),
    "outliers_015": ("outliers beyond 0.15", ".2%"),
    "coverage_68": ("within 68% error bars", ".1%"),
    "coverage_95": ("within 95% error bars", ".1%"),
    "within_err": ("within redshift_err", ".1%"),
    "pit_ks": ("PIT, distance from uniform", ".4f"),
    "cde_loss": ("CDE loss", ".3f"),
}
SHOWN_BY_BIN = ("r2", "mae", "bias", "nmad", "outliers_005", "coverage_68", "coverage_95")
HEADS = {  # of narrow columns
    "bias": "bias of\nΔz/(1+z)",
    "outliers_005": "beyond\n0.05",
    "coverage_68": "in 68%\nbars",
    "coverage_95": "in 95%\nbars",
}

Report = Mapping[str, Any]


def whole_table(report: Report) -> Table:
    """Makes the table of all galaxies, each measure with the interval that holds 95 % of its draws."""
    table = Table(show_header=False, box=None)
    measures = report["bins"][0]["measures"]
    for name, (words, form) in MEASURES.items():
        if name in measures:
            table.add_row(words, _value(measures[name], form), _range(measures[name], form))
    return table


def bins_table(report: Report) -> Table:
    """Makes the table of all bins."""
    bins = [one for one in report["bins"] if one["group"] != ALL]
    shown = [name for name in SHOWN_BY_BIN if name in report["bins"][0]["measures"]]
    heads = ("from", "to", "galaxies", *(HEADS.get(name, MEASURES[name][0]) for name in shown))
    table = plain_table("", ("by",), heads, narrow=True)
    before = None
    for one in bins:
        if before not in (None, one["group"]):
            table.add_section()
        name = one["group"] if one["group"] != before else ""
        measures = [_value(one["measures"][key], MEASURES[key][1]) for key in shown]
        table.add_row(name, f"{one['from']:.3f}", f"{one['to']:.3f}", f"{one['galaxies']:,}", *measures)
        before = one["group"]
    return table


def write_csv(report: Report, file: Path) -> None:
    """Writes all measures with their intervals: a row for each bin, and one for each kind of images."""
    with file.open("w", newline="") as out:
        csv.writer(out).writerows(csv_rows(report))


def csv_rows(report: Report) -> list[list[Any]]:
    """Makes the rows of the CSV, its head first.

    Args:
        report: the content of `--json`.

    Returns:
        Cells. One that does not apply, or is undefined, is empty.
    """
    names = [*report["bins"][0]["measures"], "r2_change"]
    head: list[Any] = ["group", "bin", "from", "to", "galaxies"]
    head += [f"{name}{end}" for name in names for end in ("", "_low", "_high")]
    rows: list[list[Any]] = [head]
    numbers: dict[str, int] = {}
    for one in report["bins"]:
        numbers[one["group"]] = numbers.get(one["group"], 0) + 1
        where = [one["group"], "" if one["group"] == ALL else numbers[one["group"]], one["from"], one["to"]]
        rows.append([*where, one["galaxies"], *_cells(names, one["measures"])])
    if (images := report["images"]) is not None:
        kinds = [("as given", {"r2": images["r2"]}), *((one["images"], one) for one in images["replaced"])]
        rows += [["images", kind, None, None, images["galaxies"], *_cells(names, found)] for kind, found in kinds]
    return rows


def _cells(names: Sequence[str], measures: Mapping[str, Any]) -> list[float | None]:
    none = {"value": None, "low": None, "high": None}
    return [measures.get(name, none)[end] for name in names for end in ("value", "low", "high")]


def _value(interval: Mapping[str, float | None], form: str) -> str:
    return "undefined" if interval["value"] is None else format(interval["value"], form)


def _range(interval: Mapping[str, float | None], form: str) -> str:
    if interval["low"] is None or interval["high"] is None:
        return ""
    return f"{format(interval['low'], form)} to {format(interval['high'], form)}"
