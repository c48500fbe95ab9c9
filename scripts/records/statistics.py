"""The statistics of the published system: of each run, and means of repeats. No I/O.

A run's time is the mean over its ranks without outliers, by Tukey's rule: a value is one if it lies beyond the
quartiles by more than 1.5 interquartile ranges (Tukey 1977, Exploratory Data Analysis). Quartiles are interpolated
linearly between values. Memory, throughput and bits are sums over the ranks.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lambda_image.errors import UsageError
from scripts.records.reading import MEMORY, NUMBERS, RATE, S3, TIME, RecordedRun, is_number

BITS = "total_bits"
PARTITION, DATA, BATCH, RUN = "partition (MB)", "data (GB)", "batch_size", "run"
MEAN = "mean"
RULE = re.compile(r"(\d+(?:\.\d+)?)iqr")
BY = {"data": (PARTITION, DATA), "batch": (BATCH,)}  # by what repeats are alike, as the two published tables have it


@dataclass(frozen=True)
class OutlierRule:
    """How many interquartile ranges beyond the quartiles a value may lie; None keeps all values."""

    ranges: float | None = 1.5

    def kept(self, values: Sequence[float]) -> np.ndarray:
        """Leaves outliers out."""
        array = np.asarray(values, float)
        low, high = self.limits(array)
        return np.compress((array >= low) & (array <= high), array)

    def limits(self, values: np.ndarray) -> tuple[float, float]:
        """Computes between which two numbers values are no outliers.

        Args:
            values: finite numbers [N].
        """
        if self.ranges is None or not len(values):
            return -np.inf, np.inf
        low, high = (float(quartile) for quartile in np.percentile(values, [25, 75]))
        margin = self.ranges * (high - low)
        return low - margin, high + margin


def parse_rule(text: str) -> OutlierRule:
    """Reads the flag `--outliers`.

    Raises:
        UsageError: it is no rule.
    """
    if text == "none":
        return OutlierRule(None)
    match = RULE.fullmatch(text)
    if not match:
        raise UsageError(f"--outliers is {text!r}; allowed: none, or a number with iqr, such as 1.5iqr")
    return OutlierRule(float(match[1]))


@dataclass(frozen=True)
class Row:
    """A run, or the mean of several, with the published columns. What is not known is None."""

    values: Mapping[str, float | str | None]
    ranks: int
    outliers: int = 0


def row_of(run: RecordedRun, rule: OutlierRule) -> Row:
    """Computes the statistics of one run.

    Args:
        run: its records.
        rule: which times are outliers.
    """
    times = run.values(TIME)
    bits = [
        record[RATE] * record[TIME]
        for record in run.records
        if is_number(record.get(RATE)) and is_number(record.get(TIME))
    ]
    kept = rule.kept(times)
    files = sum(_files(record) for record in run.records)
    total = _total(bits)
    values: dict[str, float | str | None] = {
        PARTITION: run.partition_mb if run.partition_mb is not None else _per(total, files, 8 * 2**20),
        DATA: run.data_gb if run.data_gb is not None else _per(total, 1, 8 * 2**30),
        BATCH: run.batch_size,
        RUN: run.name,
        TIME: _mean(kept),
        MEMORY: _total(run.values(MEMORY)),
        RATE: _total(run.values(RATE)),
        BITS: total,
    }
    for key in S3:
        values[key] = (_total if key == S3[0] else _mean)(run.values(key))
    return Row(values, len(run.records), len(times) - len(kept))


def _files(record: Mapping[str, Any]) -> int:
    path = record.get("data_path")
    return len(path) if isinstance(path, list) else 1


def _per(total: float | None, count: int, unit: int) -> float | None:
    """Of what paths do not tell: what the bits are, in two digits behind the point."""
    return None if total is None else round(total / count / unit, 2)


def _mean(values: Sequence[float] | np.ndarray) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _total(values: Sequence[float]) -> float | None:
    return float(np.sum(values)) if len(values) else None


def with_means(rows: Sequence[Row], by: str = "data") -> list[Row]:
    """Orders rows, and puts the mean of the repeats behind them.

    Args:
        rows: of runs.
        by: what makes two runs repeats of one: `data`, which is partition and data size, or `batch`.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.values[column] for column in BY[by]), []).append(row)
    found: list[Row] = []
    for key in sorted(groups, key=lambda key: [(value is None, value or 0) for value in key]):
        group = sorted(groups[key], key=lambda row: _order(str(row.values[RUN])))
        found += group
        if len(group) > 1:
            found.append(_mean_row(group))
    return found


def _order(name: str) -> tuple[bool, int, str]:
    return (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)


def _mean_row(group: Sequence[Row]) -> Row:
    values: dict[str, float | str | None] = {}
    for column in group[0].values:
        numbers = [value for row in group if isinstance(value := row.values[column], int | float)]
        values[column] = MEAN if column == RUN else _mean(numbers)
    return Row(values, sum(row.ranks for row in group), sum(row.outliers for row in group))


@dataclass(frozen=True)
class Distribution:
    """The values of one key over the ranks of a run."""

    key: str
    count: int
    mean: float
    sd: float | None  # with n - 1; None of one value
    least: float
    median: float
    most: float
    outliers: int
    mean_without: float  # outliers


def distributions(run: RecordedRun, rule: OutlierRule) -> list[Distribution]:
    """Describes the values of each numeric key that records have.

    Args:
        run: its records.
        rule: which values are outliers.
    """
    found = []
    for key in NUMBERS:
        values = np.asarray(run.values(key))
        if not len(values):
            continue
        kept = rule.kept(list(values))
        measures: list[Callable[[np.ndarray], Any]] = [np.min, np.median, np.max]
        least, median, most = (float(measure(values)) for measure in measures)
        sd = float(values.std(ddof=1)) if len(values) > 1 else None
        found.append(
            Distribution(
                key,
                len(values),
                float(values.mean()),
                sd,
                least,
                median,
                most,
                len(values) - len(kept),
                float(kept.mean()),
            )
        )
    return found
