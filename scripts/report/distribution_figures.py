"""How right the redshift distributions of a run are."""

from collections.abc import Iterator

from scripts.report.figure import ORANGE, Figure, axis, tooltip
from scripts.report.run_facts import RunFacts
from scripts.words import counted

COLUMNS = ("from", "to", "galaxies")


def distribution_figures(facts: RunFacts) -> Iterator[Figure]:
    """Draws the histogram of PIT; nothing where the weights have no calibration or no truth is known."""
    found = facts.summary.get("distributions") or {}
    counts = found.get("pit")
    if not counts:
        return
    width, even = 1 / len(counts), found["with_truth"] / len(counts)
    rows = [(round(place * width, 6), round((place + 1) * width, 6), count) for place, count in enumerate(counts)]
    shares = f"{found['coverage_68']:.1%} of true redshifts lie within 68% and {found['coverage_95']:.1%} within 95%"
    loss = f"PIT is off by {found['pit_ks']:.3f} at most, and the CDE loss is {found['cde_loss']:.2f}"
    caption = (
        f"PIT is the share of p(z) below the true redshift, of {counted(found['with_truth'], 'galaxy', 'galaxies')}. "
        f"Error bars are right where all bars reach the line. {shares}. {loss}."
    )
    spec = {
        "height": 240,
        "layer": [
            {
                "mark": {"type": "rect"},
                "encoding": {
                    "x": axis("from", "PIT"),
                    "x2": {"field": "to"},
                    "y": axis("galaxies", scale={"zero": True}, stack=None),
                    "y2": {"datum": 0},
                    "tooltip": tooltip(*COLUMNS),
                },
            },
            {
                "data": {"values": [{"galaxies": even}]},
                "mark": {"type": "rule", "color": ORANGE, "strokeWidth": 2, "strokeDash": [6, 3]},
                "encoding": {"y": axis("galaxies")},
            },
        ],
    }
    yield Figure("pit", "How right the error bars are", caption, COLUMNS, rows, spec)
