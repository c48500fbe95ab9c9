"""The figures of a sweep: time, speed, memory and cost against ranks, batches and data. No I/O."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from scripts.report.figure import Figure, Spec, Value, axis, six_digits, tooltip
from scripts.sweep.folder import SUCCEEDED

Row = Mapping[str, Any]
NAMES = {  # of settings, by their columns
    "world_size": "ranks",
    "batch_size": "batch size",
    "rows": "galaxies",
    "partition_mb": "MB per file",
    "file_limit": "files used",
    "memory_mb": "MB of memory",
}
MEASURES = {  # by column: name of the files, title, name at the axis
    "wall_s": ("time", "Wall time", "seconds"),
    "samples_per_s": ("speed", "Throughput", "galaxies per second"),
    "peak_memory_mb": ("memory", "Peak memory of a rank", "MB of 2^20 bytes"),
    "cost_usd": ("cost", "Cost of a run", "US dollars"),
}
POWERS = ("world_size", "batch_size")  # settings that are doubled
HEIGHT = 260
GB = 8e9  # bits


def sweep_figures(runs: Sequence[Row], together: Sequence[Row]) -> list[Figure]:
    """Makes the figures of a sweep. A setting that did not vary has none.

    Args:
        runs: A row for each run, as `scripts.sweep.tables.run_rows` gives them.
        together: A row for each configuration, as `medians` gives them.
    """
    good = [run for run in runs if run["status"] == SUCCEEDED]
    figures: list[Figure] = []
    for setting in varied(good):
        figures += [against(good, setting, measure) for measure in MEASURES]
    figures += _against_one_rank(together)
    figures += [averages(good), *_value(together)]
    return [figure for figure in figures if figure.rows]


def varied(runs: Sequence[Row]) -> list[str]:
    """Tells which settings have several values."""
    return [name for name in NAMES if len({run[name] for run in runs if run[name] is not None}) > 1]


def against(runs: Sequence[Row], setting: str, measure: str) -> Figure:
    """Draws what was measured against one setting, with a line for each combination of the others.

    Args:
        runs: Those that succeeded.
        setting: The column along the axis.
        measure: A column of MEASURES.
    """
    others = [name for name in varied(runs) if name != setting]
    name, title, unit = MEASURES[measure]
    columns = (NAMES[setting], "other settings", "repeat", unit)
    rows = [
        (run[setting], _words(run, others), run["repeat"], six_digits(run[measure]))
        for run in runs
        if run[measure] is not None and run[setting] is not None
    ]
    caption = "Lines join the medians of the repeats, and marks are the runs."
    return Figure(
        f"{name}_by_{setting}",
        f"{title} by {NAMES[setting]}",
        caption,
        columns,
        rows,
        _lines(columns, setting, _sorted(rows)),
    )


def _words(run: Row, settings: Sequence[str]) -> str:
    words = ", ".join(f"{NAMES[name]} {run[name]:,g}" for name in settings if run[name] is not None)
    return words or "all"


def _sorted(rows: Sequence[Sequence[Any]]) -> list[Value]:
    """The values along the axis, which are its ticks."""
    return sorted({row[0] for row in rows})


def _lines(columns: Sequence[str], setting: str, values: Sequence[Value]) -> Spec:
    x, series, _, y = columns
    scale = {"type": "log", "base": 2} if setting in POWERS else {"type": "linear", "zero": False}
    along = axis(x, scale=scale, axis={"format": ",.12~r", "values": list(values), "labelOverlap": True})
    colour = {"field": series, "type": "nominal", "legend": {"orient": "bottom", "columns": 2, "title": None}}
    return {
        "height": HEIGHT,
        "encoding": {"x": along, "color": colour},
        "layer": [
            {
                "mark": {"type": "line", "strokeWidth": 2},
                "encoding": {"y": axis(y, aggregate="median", scale={"zero": True})},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 40, "opacity": 0.8},
                "encoding": {"y": axis(y), "tooltip": tooltip(*columns)},
            },
        ],
    }


def _against_one_rank(together: Sequence[Row]) -> Iterator[Figure]:
    """Speedup, efficiency and cost against the run of one rank with the same other settings."""
    settings = [name for name in NAMES if name != "world_size"]
    ones = {tuple(row[name] for name in settings): row for row in together if row["world_size"] == 1 and row["runs"]}
    columns = ("ranks", "other settings", "speedup", "efficiency", "cost decrease")
    others = [name for name in varied(together) if name != "world_size"]
    rows: list[Sequence[Value]] = []
    for row in together:
        one = ones.get(tuple(row[name] for name in settings))
        if one is None or not row["wall_s"] or not one["wall_s"]:
            continue
        speedup = one["wall_s"] / row["wall_s"]
        decrease = 1 - row["cost_usd"] / one["cost_usd"]
        ranks = row["world_size"]
        rows.append(
            (ranks, _words(row, others), six_digits(speedup), six_digits(speedup / ranks), six_digits(decrease))
        )
    if len({row[0] for row in rows}) < 2:
        return
    for measure, title, caption in (
        ("speedup", "Speedup over one rank", "The wall time of one rank divided by that of several."),
        (
            "efficiency",
            "Parallel efficiency",
            "The speedup divided by the number of ranks. It is 1 where nothing is lost.",
        ),
        ("cost decrease", "Cost decrease against one rank", "It is negative where more ranks cost more."),
    ):
        shown = ("ranks", "other settings", "runs", measure)
        values = [(row[0], row[1], 1, row[columns.index(measure)]) for row in rows]
        name = measure.replace(" ", "_")
        yield Figure(name, title, caption, shown, values, _lines(shown, "world_size", _sorted(values)))


def averages(runs: Sequence[Row]) -> Figure:
    """Tabulates means over all runs of each world size, as the published documents do."""
    columns = ("ranks", "runs", "mean time (s)", "mean galaxies per second", "mean cost (USD)")
    rows: list[Sequence[Value]] = []
    for ranks in sorted({run["world_size"] for run in runs}):
        of = [run for run in runs if run["world_size"] == ranks and run["wall_s"]]
        if of:
            means = [
                six_digits(sum(run[name] for run in of) / len(of)) for name in ("wall_s", "samples_per_s", "cost_usd")
            ]
            rows.append((ranks, len(of), *means))
    caption = "Means over all runs with so many ranks, whatever their other settings."
    return Figure("averages", "Averages by number of ranks", caption, columns, rows, wide=True)


def _value(together: Sequence[Row]) -> Iterator[Figure]:
    """Data per second and dollar."""
    columns = ("configuration", "GB per second per US dollar")
    rows = [
        (_words(row, varied(together)), six_digits(row["bits_per_s"] / GB / row["cost_usd"]))
        for row in together
        if row["bits_per_s"] and row["cost_usd"]
    ]
    caption = "The throughput of a run divided by its cost."
    yield Figure("value", "Throughput for the money", caption, columns, rows, wide=True)


def best(together: Sequence[Row]) -> list[tuple[str, str]]:
    """Names the configurations that are best for time, for cost, and for both (the least product of the two).

    Where they have different numbers of galaxies, time and cost are those of a galaxy.
    """
    measured = [row for row in together if row["wall_s"] and row["cost_usd"] and row["rows"]]
    if not measured:
        return []
    ways: dict[str, Callable[[Row], float]] = {
        "fastest": lambda row: float(row["wall_s"] / row["rows"]),
        "cheapest": lambda row: float(row["cost_usd"] / row["rows"]),
        "best for both": lambda row: float(row["wall_s"] * row["cost_usd"] / row["rows"] ** 2),
    }
    if len({row["rows"] for row in measured}) > 1:
        ways = {f"{name}, by galaxy": way for name, way in ways.items()}
    found = []
    for name, way in ways.items():
        row = min(measured, key=way)
        settings = _words(row, ["world_size", *(name for name in varied(together) if name != "world_size")])
        found.append((name, f"{settings}: {row['wall_s']:.2f} s, {row['cost_usd']:.6f} USD"))
    return found
