"""The timeline of a run: what each rank did when, as its record tells."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scripts.report.figure import BLUE, GREEN, GREY, ORANGE, PINK, VERMILION, Figure, Spec, Value, axis, kind, tooltip
from scripts.report.per_rank import MANY, per_rank
from scripts.report.run_facts import RunFacts

Record = Mapping[str, Any]
PHASES = {  # a phase's name by its key in a record, in the order in which they begin
    "cold_start_s": "cold start",
    "download_s": "download",
    "inference_s": "infer",
    "write_s": "write",
    "gather_s": "gather",
}
REST = "other"
COLOURS = {"domain": [*PHASES.values(), REST], "range": [ORANGE, PINK, BLUE, GREEN, VERMILION, GREY]}
ALL = "all phases"
CLOCKS_MAY_DIFFER_S = 5.0  # beyond a run's wall time; farther apart they are wrong
COLUMNS = ("rank", "phase", "from (s)", "to (s)", "seconds", "by start", "by length")
ROW_PIXELS, TALLEST = 24, 560


def timeline(facts: RunFacts) -> Figure:
    """Draws the phases of every rank over time."""
    starts = starts_of(facts.records, facts.summary.get("wall_s"))
    together = starts is None
    rows = list(_rows(facts.records, starts or [0.0] * len(facts.records)))
    caption = "Drag to move, scroll with the shift key to zoom, and double-click to see everything again. "
    caption += "Waiting for data and inferring alternate in a rank, so that the sums of both stand side by side."
    if together:
        caption += " The ranks' clocks disagree or are unknown, so every rank is drawn as if it had begun at 0."
    return Figure("timeline", "What each rank did", caption, COLUMNS, rows, _spec(len(facts.records)), 5, wide=True)


def starts_of(records: Sequence[Record], wall_s: float | None) -> list[float] | None:
    """Tells when each rank's work began, in seconds after the first of their processes.

    Args:
        records: The ranks' records.
        wall_s: How long the run took; None where that is unknown.

    Returns:
        Seconds by rank; None where the clocks of the ranks' machines cannot be compared.
    """
    began = [float(at) for record in records if (at := record.get("s3_first_request_time")) is not None]
    if not began or len(began) < len(records):
        return None
    processes = [at - _seconds(record, "cold_start_s") for at, record in zip(began, records, strict=True)]
    first = min(processes)
    if max(processes) - first > (wall_s or 0.0) + CLOCKS_MAY_DIFFER_S:
        return None
    return [at - first for at in began]


def _rows(records: Sequence[Record], starts: Sequence[float]) -> Iterator[tuple[Value, ...]]:
    lengths = [_seconds(record, "cold_start_s") + _seconds(record, "total_s") for record in records]
    by_start = _places([at - _seconds(record, "cold_start_s") for at, record in zip(starts, records, strict=True)])
    by_length = _places([-length for length in lengths])
    for index, record in enumerate(records):
        at = starts[index] - _seconds(record, "cold_start_s")
        end = starts[index] + _seconds(record, "total_s")
        spans = [(name, _seconds(record, key)) for key, name in PHASES.items()]
        rest = end - at - sum(seconds for _, seconds in spans)
        for name, seconds in [*spans, (REST, rest)]:
            if seconds > 0.0005:
                span = (round(at, 3), round(at + seconds, 3), round(seconds, 3))
                yield record["rank"], name, *span, by_start[index], by_length[index]
                at += seconds


def _places(values: Sequence[float]) -> list[int]:
    """The place of each value in ascending order."""
    places = [0] * len(values)
    for place, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        places[index] = place
    return places


def _seconds(record: Record, phase: str) -> float:
    return record["phases"].get(phase) or 0.0


def _spec(ranks: int) -> Spec:
    choose = {"input": "select", "options": [ALL, *COLOURS["domain"]], "name": "Phase "}
    order = {"input": "select", "options": ["rank", "start", "longest first"], "name": "Order by "}
    place = "order == 'rank' ? datum.rank : order == 'start' ? datum['by start'] : datum['by length']"
    half = max(0.4, ranks / TALLEST / 2)  # of a bar's height, in ranks: at least half a pixel
    first = "rank" if ranks <= MANY else "start"
    return {
        "height": max(120, min(ROW_PIXELS * ranks, TALLEST)),
        "params": [
            {"name": "shown_phase", "value": ALL, "bind": choose},
            {"name": "order", "value": first, "bind": order},
            {
                "name": "zoom",
                "select": {"type": "interval", "zoom": "wheel![event.shiftKey]"},
                "bind": "scales",
            },
        ],
        "transform": [
            {"filter": f"shown_phase == '{ALL}' || datum.phase == shown_phase"},
            {"calculate": f"({place}) - {half}", "as": "above"},
            {"calculate": f"({place}) + {half}", "as": "below"},
        ],
        "mark": {"type": "rect", "clip": True},
        "encoding": {
            "x": axis("from (s)", "seconds since the first rank's process began"),
            "x2": {"field": "to (s)"},
            "y": axis("above", "rank", scale={"reverse": True, "nice": False}, axis={"tickMinStep": 1, "grid": False}),
            "y2": {"field": "below"},
            "color": kind("phase", scale=COLOURS, legend={"orient": "top", "title": None, "columns": 3}),
            "tooltip": tooltip(*COLUMNS[:5]),
        },
    }


def phases(facts: RunFacts) -> Figure:
    """Draws how long each phase took in the ranks."""
    rows = [(name, record["rank"], _seconds(record, key)) for key, name in PHASES.items() for record in facts.records]
    caption = "A rank far from the others was slow in that phase."
    return per_rank("phases", "How long each phase took", caption, "seconds", rows)
