"""Figures as files: PNG and SVG to show, CSV to compute with."""

from collections.abc import Sequence
from pathlib import Path

from scripts.report.figure import Figure
from scripts.report.page import config

SCALE = 2.0  # pixels of a PNG for each pixel of the figure, for print and fine screens
MANY_MARKS = 20_000  # an SVG of more is larger than anything that shows it can bear


def write_figures(figures: Sequence[Figure], folder: Path, many_marks: int = MANY_MARKS) -> None:
    """Writes NAME.csv, NAME.png and NAME.svg of each figure. A table that is not drawn has only the first.

    Args:
        figures: The figures.
        folder: Where they go. It is made if it is not there.
        many_marks: A figure of more rows has no SVG.

    Raises:
        OSError: They cannot be written.
    """
    import vl_convert

    folder.mkdir(exist_ok=True)
    colours = config()
    for figure in figures:
        (folder / f"{figure.name}.csv").write_text(figure.to_csv(), encoding="utf-8")
        if figure.spec is None:
            continue
        spec = figure.to_vega_lite(colours)
        (folder / f"{figure.name}.png").write_bytes(vl_convert.vegalite_to_png(spec, scale=SCALE))
        if len(figure.rows) <= many_marks:
            (folder / f"{figure.name}.svg").write_text(vl_convert.vegalite_to_svg(spec), encoding="utf-8")
