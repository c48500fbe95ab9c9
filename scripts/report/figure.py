"""A figure of a report: rows of numbers, and a Vega-Lite specification that draws them."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Value = float | int | str | None
Spec = Mapping[str, Any]

# Okabe and Ito's colours (2008), which people with any colour vision tell apart.
BLUE, ORANGE, GREEN, PINK, SKY, VERMILION = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
GREY = "#888888"
BAR_PIXELS = 34
PICTURE_WIDTH = 640  # pixels of a file; in the page a figure is as wide as its place


@dataclass(frozen=True)
class Figure:
    """Holds the rows of a figure and how they are drawn.

    Attributes:
        name: What its files are called.
        title: Stands above it.
        caption: Says in a sentence or two what is seen.
        columns: Names of the columns, with units.
        rows: Values of each row, in the order of `columns`.
        spec: A Vega-Lite specification whose fields are `columns`; None for a table that is not drawn.
        wide: Whether it takes the whole width of the page.
        shown: How many of `columns`, from the first, the table has. Further ones only place the marks.
    """

    name: str
    title: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Value]]
    spec: Spec | None = None
    shown: int | None = None
    wide: bool = False

    def to_csv(self) -> str:
        """Writes the columns that the table has as CSV, with a line of names."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns[: self.shown])
        writer.writerows(row[: self.shown] for row in self.rows)
        return text.getvalue()

    def to_vega_lite(self, config: Spec) -> dict[str, Any]:
        """Makes a specification that holds its data, for a picture.

        Args:
            config: Vega-Lite's configuration of colours and fonts.

        Raises:
            ValueError: This is a table that is not drawn.
        """
        if self.spec is None:
            raise ValueError(f"{self.name} is a table and no picture")
        values = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return {
            **self.spec,
            "title": self.title,
            "width": PICTURE_WIDTH,
            "data": {"values": values},
            "config": config,
        }


def six_digits(value: Value) -> Value:
    """Rounds a number that is not whole to six digits."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def bars(count: int) -> int:
    """Computes the height of a figure with so many horizontal bars, in pixels."""
    return BAR_PIXELS * max(count, 1)


def axis(field: str, title: str | None = None, **more: Any) -> dict[str, Any]:
    """Makes a channel of numbers.

    Args:
        field: The column.
        title: What stands at the axis; the column's name where it is None.
        more: Further properties of the channel.
    """
    return {"field": field, "type": "quantitative", "title": title or field, **more}


def kind(field: str, title: str | None = None, **more: Any) -> dict[str, Any]:
    """Makes a channel of names. Its arguments are those of `axis`."""
    return {"field": field, "type": "nominal", "title": title or field, **more}


def tooltip(*fields: str) -> list[dict[str, Any]]:
    """Makes the channel of what is shown where the pointer rests.

    Args:
        fields: The columns.
    """
    return [{"field": field} for field in fields]
