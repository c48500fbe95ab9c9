import pytest
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from scripts.console import output_console, plain_table, print_tables

WHOLE = ["failed", "rank", "3:", "[ranks]", "had", "no", "memory", "of", "all", "ranks"]


def filled() -> Table:
    table = plain_table("bill", ("part",), ("USD a month", "USD per million galaxies", "seconds"))
    table.add_row("a long name", "1,234.00", "0.000123", "12.25 s")
    return table


def lines(width: int, *tables: Table | Text) -> list[str]:
    console = Console(width=width)
    with console.capture() as captured:
        print_tables(console, Group(*tables))
    assert console.width == width
    return captured.get().splitlines()


def test_tables_have_their_own_width_where_no_terminal_has_one(capsys: pytest.CaptureFixture[str]):
    console = output_console(31)
    assert console.width == 31
    console.print("[brackets stay]" * 2, markup=False)
    assert capsys.readouterr().out == "[brackets stay][brackets stay]\n"


def test_a_line_is_never_broken_so_that_a_path_in_it_can_be_copied(capsys: pytest.CaptureFixture[str]):
    console = output_console(31)
    line = "predictions in /a/folder with a name/of many words/predictions.parquet"
    console.print(line, markup=False)
    print_tables(console, filled())
    told, *table = capsys.readouterr().out.splitlines()
    assert told == line
    assert table == lines(31, filled())


def test_the_first_columns_hold_words_and_the_others_numbers():
    words, *numbers = filled().columns
    assert words.justify == "left"
    assert {column.justify for column in numbers} == {"right"}
    title, heading, _, row = lines(100, filled())
    assert title.split() == ["bill"]
    assert heading.split()[:4] == ["part", "USD", "a", "month"]
    assert row.split("  ")[0] == "a long name"


@pytest.mark.parametrize("width", [100, 50, 30, 1])
def test_no_number_is_cut_or_broken_however_narrow_a_terminal_is(width: int):
    found = lines(width, filled())
    (row,) = [line for line in found if "1,234.00" in line]
    assert all(number in row for number in ("0.000123", "12.25 s"))
    assert {word for line in found for word in line.split()} >= {"a", "long", "name"}
    assert len(row) <= max(width, 40)


@pytest.mark.parametrize(("width", "first"), [(60, "a long name      "), (40, "a long name  "), (30, "a long   ")])
def test_columns_stand_closer_together_before_their_words_are_broken(width: int, first: str):
    row = next(line for line in lines(width, filled()) if "1,234.00" in line)
    assert row.startswith(f"{first}1,234.00")


def test_headings_and_text_are_broken_between_words_before_a_table_is_wider_than_the_terminal():
    table = Table(show_header=False, box=None)
    table.add_row("failed", "rank 3: [ranks] had no memory")
    found = lines(24, filled(), table, Text("of all ranks"))
    assert [line.split() for line in found[1:4]] == [
        ["USD", "per"],
        ["USD", "a", "million"],
        ["part", "month", "galaxies", "seconds"],
    ]
    assert "".join(line.ljust(24) for line in found[-4:]).split() == WHOLE
