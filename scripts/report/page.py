"""One HTML file of figures, tables and words. It holds all that it needs, and asks no network for anything."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from lambda_image.atomic_file import atomic_file
from scripts.report.figure import BLUE, SKY, Figure

HERE = Path(__file__).parent
FONT = "system-ui, sans-serif"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "cosmicai"


@dataclass(frozen=True)
class Section:
    """A part of the page: a heading and its figures."""

    heading: str
    figures: Sequence[Figure]


@dataclass(frozen=True)
class Page:
    """What a report says.

    Attributes:
        title: Its heading.
        lead: A sentence below it.
        facts: Names and values, the most important first.
        notices: What the reader must know, such as ranks that failed.
        sections: The figures.
    """

    title: str
    lead: str
    facts: Sequence[tuple[str, str]]
    notices: Sequence[str]
    sections: Sequence[Section]


def config(*, dark: bool = False) -> dict[str, Any]:
    """Makes Vega-Lite's configuration of colours and fonts.

    Args:
        dark: Whether the page is dark.
    """
    ink, faint = ("#e6e6e6", "#444444") if dark else ("#1a1a1a", "#dddddd")
    words = {"labelColor": ink, "titleColor": ink}
    heat = {"scheme": "viridis", "extent": [0.3, 1]} if dark else {"scheme": "viridis"}  # its dark end would be unseen
    return {
        "background": "#161616" if dark else "#ffffff",
        "font": FONT,
        "mark": {"color": SKY if dark else BLUE},
        "range": {"heatmap": heat, "ramp": heat},
        "axis": {
            **words,
            "labelSeparation": 4,  # pixels between two labels
            "gridColor": faint,
            "domainColor": ink,
            "tickColor": ink,
            "titleFontWeight": "normal",
        },
        "legend": words,
        "title": {"color": ink, "anchor": "start"},
        "view": {"stroke": None},
    }


def to_html(page: Page, library: str | None = None) -> str:
    """Makes the HTML of a page.

    Args:
        page: What it says.
        library: The script that draws; without it, what `drawing_library` gives.

    Raises:
        ModuleNotFoundError: The extra `local` is not installed.
    """
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    figures = [figure for section in page.sections for figure in section.figures]
    return environment.get_template("page.html").render(
        page=page,
        data=_script_safe({figure.name: _data(figure) for figure in figures}),
        configs=_script_safe({"light": config(), "dark": config(dark=True)}),
        style=(HERE / "page.css").read_text(encoding="utf-8"),
        script=(HERE / "page.js").read_text(encoding="utf-8"),
        library=drawing_library() if library is None else library,
    )


def _data(figure: Figure) -> dict[str, Any]:
    shown = len(figure.columns) if figure.shown is None else figure.shown
    return {"columns": figure.columns, "rows": figure.rows, "shown": shown, "spec": figure.spec}


def _script_safe(content: Mapping[str, Any]) -> str:
    """JSON that cannot end the script in which it stands."""
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")


def drawing_library(cache: Path = CACHE, make: Callable[[], str] | None = None) -> str:
    """Makes one script of Vega, Vega-Lite and vega-embed, which the package vl-convert brings.

    Args:
        cache: A folder in which it is kept, since making it takes longer than a second.
        make: What makes it.
    """
    kept = cache / f"vega-{metadata.version('vl-convert-python')}.js"
    with suppress(OSError):
        return kept.read_text(encoding="utf-8")
    script = (make or _bundle)().replace("</script", "<\\/script")
    # A home that cannot be written costs a second each time, and no report.
    with suppress(OSError), atomic_file(kept) as partial:
        partial.write_text(script, encoding="utf-8")
    return script


def _bundle() -> str:
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
