from rich.console import Console

from lambda_image.cost import BillLine
from scripts.billing.measured import Portion
from scripts.billing.months import MonthlyLine
from scripts.billing.tables import bill_table, dollars, month_table, portion_table, quantity


def shown(table: object) -> list[str]:
    console = Console(width=100)
    with console.capture() as captured:
        console.print(table)
    return [" ".join(line.split()) for line in captured.get().splitlines()]


def test_a_bill_names_a_service_once_and_adds_up():
    lines = shown(bill_table("run", [BillLine("S3", "a", 3, "requests", 0.5), BillLine("S3", "b", 0.25, "GB", 2.0)]))
    assert lines[0] == "run"
    assert lines[3:] == ["S3 a 3 requests 0.5 1.500000", "b 0.25 GB 2 0.500000", "in all 2.000000"]


def test_a_month_and_a_year():
    assert shown(month_table([MonthlyLine("x", 2.0, "free"), MonthlyLine("y", 1.0)]))[-3:] == [
        "x (free) 2.00 24.00",
        "y 1.00 12.00",
        "in all 3.00 36.00",
    ]


def test_portions_per_galaxy():
    rows = shown(portion_table("rank", [Portion("0", 1000, 2.5, 0.001), Portion("1", 0, 1.0, 0.0)]))[-2:]
    assert rows == ["0 1,000 2.50 0.001000 1.000", "1 0 1.00 0.000000 -"]


def test_numbers():
    assert [quantity(value) for value in (3.0, 1234.0, 0.00045, 12345.6)] == ["3", "1,234", "0.00045", "12,346"]
    assert [dollars(usd) for usd in (0.0000012, 1234.5)] == ["0.000001", "1,234.50"]
