"""Figures with a number for each rank: a mark for each where they are few, and their spread where they are many."""

from collections.abc import Sequence

import numpy as np

from scripts.report.figure import VERMILION, Figure, Spec, Value, axis, bars, kind, tooltip

MANY = 256  # marks of more ranks lie over each other
LEVELS = {"least": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "most": 1.0}
DIGITS = 5
Rows = Sequence[tuple[str, int, float]]  # what was measured, of which rank, and the value


def per_rank(name: str, title: str, caption: str, unit: str, rows: Rows) -> Figure:
    """Draws numbers of ranks along a line for each thing that was measured.

    Args:
        name: What the figure's files are called.
        title: Stands above it.
        caption: Says what is seen.
        unit: Stands at the axis, and names the column of values.
        rows: The numbers, in the order of the lines.
    """
    things = list(dict.fromkeys(row[0] for row in rows))
    if len(rows) <= MANY * len(things):
        columns: tuple[str, ...] = ("measured", "rank", unit)
        values: list[Sequence[Value]] = [(thing, rank, round(value, DIGITS)) for thing, rank, value in rows]
        return Figure(name, title, f"{caption} Each mark is a rank.", columns, values, _marks(columns, things))
    columns = ("measured", "ranks", *LEVELS)
    spread: list[Sequence[Value]] = []
    for thing in things:
        of_thing = np.array([row[2] for row in rows if row[0] == thing])
        levels = np.quantile(of_thing, list(LEVELS.values()))
        spread.append((thing, len(of_thing), *(round(float(level), DIGITS) for level in levels)))
    how = "The line reaches from the least to the most, the bar holds nine ranks of ten, and the mark is their median."
    return Figure(name, title, f"{caption} {how}", columns, spread, _spread(columns, things, unit))


def _line(things: Sequence[str]) -> Spec:
    return kind("measured", "", sort=list(things), axis={"title": None})


def _marks(columns: Sequence[str], things: Sequence[str]) -> Spec:
    return {
        "height": bars(len(things)),
        "mark": {"type": "tick", "thickness": 2, "opacity": 0.7},
        "encoding": {
            "x": axis(columns[-1], scale={"zero": True}),
            "y": _line(things),
            "tooltip": tooltip(*columns),
        },
    }


def _spread(columns: Sequence[str], things: Sequence[str], unit: str) -> Spec:
    def reach(least: str, most: str, height: int) -> Spec:
        encoding = {"x": axis(least, unit, scale={"zero": True}), "x2": {"field": most}}
        return {"mark": {"type": "bar", "height": height, "opacity": 0.55}, "encoding": encoding}

    median = {
        "mark": {"type": "tick", "thickness": 3, "color": VERMILION},
        "encoding": {"x": axis("median", unit)},
    }
    return {
        "height": bars(len(things)),
        "encoding": {"y": _line(things), "tooltip": tooltip(*columns)},
        "layer": [reach("least", "most", 2), reach("5 %", "95 %", 14), median],
    }
