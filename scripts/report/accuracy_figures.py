"""Predicted against true redshifts, and what is wrong with galaxies."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lambda_image.data.quality import Quality, describe, known_redshifts
from scripts.report.figure import GREY, Figure, Spec, axis, bars, tooltip
from scripts.report.run_facts import RunFacts
from scripts.words import counted

BINS = 64  # in each direction
DELTA = "Δz / (1 + z)"
DELTA_BINS = 60
FEW, MANY = 0.001, 0.999  # quantiles that the histogram reaches from and to, at least
LEAST_REACH = 0.05
Cells = list[tuple[float, float, float, float, int]]
CELL_COLUMNS = ("true from", "true to", "predicted from", "predicted to", "galaxies")
RESIDUAL_COLUMNS = ("true from", "true to", f"{DELTA} from", f"{DELTA} to", "galaxies")
HISTOGRAM_COLUMNS = ("from", "to", "galaxies")


def accuracy_figures(facts: RunFacts) -> Iterator[Figure]:
    """Draws predicted against true redshifts; nothing where the truth of no galaxy is known."""
    kept = known_redshifts(facts.redshift_true) & np.isfinite(facts.redshift)
    if not kept.any():
        return
    z, true = facts.redshift[kept].astype(float), facts.redshift_true[kept].astype(float)
    delta = (z - true) / (1 + true)
    galaxies = counted(len(z), "galaxy", "galaxies")
    low, high = float(min(z.min(), true.min())), float(max(z.max(), true.max()))
    yield Figure(
        "predicted",
        "Predicted against true redshift",
        f"Each cell counts galaxies, of {galaxies} in all. On the line both redshifts are equal.",
        CELL_COLUMNS,
        _cells(true, z, (low, high)),
        _density(CELL_COLUMNS, "predicted redshift", [(low, low), (high, high)]),
    )
    yield Figure(
        "residuals",
        f"{DELTA} against true redshift",
        "A model without bias lies around the line at every redshift.",
        RESIDUAL_COLUMNS,
        _cells(true, delta, None),
        _density(RESIDUAL_COLUMNS, DELTA, [(float(true.min()), 0.0), (float(true.max()), 0.0)]),
    )
    yield _histogram(delta)


def _cells(x: NDArray[np.float64], y: NDArray[np.float64], reach: tuple[float, float] | None) -> Cells:
    """The cells of a grid that hold galaxies, with their edges."""
    counts, xs, ys = np.histogram2d(x, y, BINS, None if reach is None else [reach, reach])
    return [
        (round(xs[i], 6), round(xs[i + 1], 6), round(ys[j], 6), round(ys[j + 1], 6), int(counts[i, j]))
        for i, j in np.argwhere(counts)
    ]


def _density(columns: tuple[str, ...], name: str, line: list[tuple[float, float]]) -> Spec:
    x, x2, y, y2, count = columns
    scale = {"type": "log"}
    return {
        "height": 360,
        "layer": [
            {
                "mark": "rect",
                "encoding": {
                    "x": axis(x, "true redshift", scale={"zero": False}),
                    "x2": {"field": x2},
                    "y": axis(y, name, scale={"zero": False}),
                    "y2": {"field": y2},
                    "color": axis(count, scale=scale, legend={"format": ",d", "tickCount": 4}),
                    "tooltip": tooltip(*columns),
                },
            },
            {
                "data": {"values": [{"x": at, "y": height} for at, height in line]},
                "mark": {"type": "line", "color": GREY, "strokeDash": [4, 3]},
                "encoding": {"x": axis("x", "true redshift"), "y": axis("y", name)},
            },
        ],
    }


def _histogram(delta: NDArray[np.float64]) -> Figure:
    reach = max(LEAST_REACH, *np.abs(np.quantile(delta, [FEW, MANY])))
    counts, edges = np.histogram(delta, DELTA_BINS, (-reach, reach))
    outside = len(delta) - int(counts.sum())
    caption = f"The bars count {counted(int(counts.sum()), 'galaxy', 'galaxies')}."
    if outside:
        far = float(np.abs(delta).max())
        caption += f" {counted(outside, 'galaxy lies', 'galaxies lie')} beyond them, up to |{DELTA}| = {far:.3f}."
    rows = [(round(edges[i], 6), round(edges[i + 1], 6), int(count)) for i, count in enumerate(counts)]
    spec = {
        "height": 240,
        "mark": {"type": "rect"},
        "encoding": {
            "x": axis("from", DELTA),
            "x2": {"field": "to"},
            "y": axis("galaxies", scale={"zero": True}, stack=None),
            "y2": {"datum": 0},
            "tooltip": tooltip(*HISTOGRAM_COLUMNS),
        },
    }
    return Figure("residual_histogram", f"How {DELTA} is distributed", caption, HISTOGRAM_COLUMNS, rows, spec)


def quality_figures(facts: RunFacts) -> Iterator[Figure]:
    """Shows how many galaxies carry each flag, and the first of them; nothing where no galaxy does."""
    flags = {name: count for name, count in (facts.summary.get("rows") or {}).get("flags", {}).items() if count}
    if flags:
        rows = [(name, count, describe(Quality[name.upper()])) for name, count in flags.items()]
        spec = {
            "height": bars(len(rows)),
            "mark": {"type": "bar"},
            "encoding": {
                "x": axis("galaxies"),
                "y": {"field": "flag", "type": "nominal", "sort": "-x", "title": ""},
                "tooltip": tooltip("flag", "galaxies", "meaning"),
            },
        }
        caption = "A galaxy may carry several flags. The column quality of the predictions has them."
        yield Figure("flags", "Galaxies with a flag", caption, ("flag", "galaxies", "meaning"), rows, spec)
    if facts.flagged:
        caption = "These are the first galaxies that carry a flag, in the order of the predictions."
        listed = [(one.source, one.row, one.quality, describe(Quality(one.quality))) for one in facts.flagged]
        yield Figure(
            "flagged_galaxies", "Flagged galaxies", caption, ("source", "row", "quality", "meaning"), listed, wide=True
        )
