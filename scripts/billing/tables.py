"""Bills as tables for people."""

from collections.abc import Sequence

from rich.table import Table

from lambda_image.cost import BillLine, usd_of
from scripts.billing.measured import Portion
from scripts.billing.months import MONTHS_PER_YEAR, MonthlyLine
from scripts.console import plain_table

WIDTH = 100


def bill_table(title: str, lines: Sequence[BillLine]) -> Table:
    """Makes the table of a run's bill."""
    table = plain_table(title, ("service", "part"), ("quantity", "unit", "USD per unit", "USD"))
    service = ""
    for line in lines:
        name = "" if line.service == service else line.service
        service = line.service
        table.add_row(name, line.part, quantity(line.quantity), line.unit, f"{line.unit_usd:.4g}", dollars(line.usd))
    table.add_row("in all", "", "", "", "", dollars(usd_of(lines)), style="bold")
    return table


def month_table(lines: Sequence[MonthlyLine]) -> Table:
    """Makes the table of a month's bill."""
    table = plain_table("", ("part",), ("USD a month", "USD a year"))
    for line in lines:
        name = f"{line.part} ({line.unless})" if line.unless else line.part
        table.add_row(name, f"{line.usd:,.2f}", f"{line.usd * MONTHS_PER_YEAR:,.2f}")
    total = sum(line.usd for line in lines)
    table.add_row("in all", f"{total:,.2f}", f"{total * MONTHS_PER_YEAR:,.2f}", style="bold")
    return table


def portion_table(what: str, portions: Sequence[Portion]) -> Table:
    """Makes the table of what each rank or partition cost."""
    table = plain_table("", (what,), ("galaxies", "seconds", "USD", "USD per million galaxies"))
    for one in portions:
        per_million = f"{one.usd / one.galaxies * 1e6:.3f}" if one.galaxies else "-"
        table.add_row(one.name, f"{one.galaxies:,}", f"{one.seconds:.2f}", dollars(one.usd), per_million)
    return table


def quantity(value: float) -> str:
    """Shows a count as it is, and anything else with four digits."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}" if value < 1e4 else f"{value:,.0f}"


def dollars(usd: float) -> str:
    """Shows millionths of a dollar where there are few, as runs often cost less than a cent."""
    return f"{usd:,.2f}" if usd >= 100 else f"{usd:.6f}"
