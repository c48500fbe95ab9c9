import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.errors import InvalidEvent
from lambda_image.partition_names import check_name, gap, name_in_order, natural_order, printable, select


def test_numbers_in_names_order_as_numbers():
    names = ["10.pt", "2.pt", "1.pt", "a10b2.pt", "a2b10.pt", "b.pt"]
    assert sorted(names, key=natural_order) == ["1.pt", "2.pt", "10.pt", "a2b10.pt", "a10b2.pt", "b.pt"]


def by_pieces(name: str) -> list[tuple[int, int, str]]:
    """The order as it is meant: texts by their characters, and numbers by their value."""
    parts = re.split(r"(\d+)", name)
    return [(1, int(part), part) if part.isdecimal() else (0, 0, part) for part in parts]


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cc", "Cs"]))
        | st.from_regex(r"[a-c]?\d{1,3}[a-c]?\d?", fullmatch=True)
    )
)
def test_the_order_is_that_of_the_pieces_and_each_name_comes_back(names: list[str]):
    assert sorted(names, key=natural_order) == sorted(names, key=by_pieces)
    assert [name_in_order(natural_order(name)) for name in names] == names


def test_names_are_told_apart():
    found = select(["10.PTH", "2.pt", "_3.safetensors", ".4.pt", "__MACOSX/", "5.pt/", "notes", "x.pt.gz"])
    assert found.partitions == ["2.pt", "10.PTH", "_3.safetensors"]
    assert (found.hidden, found.folders, found.others) == ([".4.pt"], ["__MACOSX/", "5.pt/"], ["notes", "x.pt.gz"])
    assert select(["1.pt"]).warnings("here") == []


@given(st.lists(st.text(min_size=1), unique=True))
def test_every_name_is_counted_and_no_warning_breaks_a_line(names: list[str]):
    found = select(names)  # text is hardly ever the name of a partition, which could be refused
    kinds = found.partitions, found.hidden, found.folders, found.others
    assert sorted(name for kind in kinds for name in kind) == sorted(names)
    assert all(printable(warning) == warning for warning in found.warnings("here"))


def test_a_warning_names_a_few_of_many():
    (warning,) = select([f".{number}" for number in range(1200)]).warnings("here")
    assert warning == "1,200 hidden files (.0, .1, .2, .3, .4, ...) in here are not read"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["1.pt", "3.pt"], "2 is missing between 1 and 3"),
        (["1.pt", "3.pt", "11.pt", *(f"{n}.pt" for n in (5, 7, 9, 10))], "2, 4, 6 and 8 are missing between 1 and 11"),
        (["run2_part007.pt", "run2_part009.pt"], "8 is missing between 7 and 9"),
        (["1-of-4.pt", "2-of-4.pt", "4-of-4.pt"], "3 is missing between 1 and 4"),
        ([f"{n}.pt" for n in range(1, 40) if n % 4], "4, 8, 12, 16, 20 and 4 more are missing between 1 and 39"),
        (["1.pt", "2.pt", "3.pt"], None),
        (["08.pt", "9.pt", "10.pt"], None),
        (["1.pt", "4.pt"], None),  # most are not there
        (["20240101.pt", "20250101.pt"], None),
        (["1.pt", "3.safetensors"], None),
        (["a1.pt", "b3.pt"], None),
        (["1.pt", "2.pt", "4.pt", "b5.pt"], None),
        (["1.pt", "2.pt", "4.pt", f"{10**30}.pt"], None),
        (["a.pt", "c.pt"], None),
        (["1.pt"], None),
        ([], None),
    ],
)
def test_a_gap_is_told_where_most_of_a_series_is_there(names: list[str], words: str | None):
    assert gap(names) == words


@given(st.sets(st.integers(0, 500), min_size=2), st.text(st.characters(exclude_categories=["Nd"])))
def test_a_gap_is_told_exactly_where_there_is_one(numbers: set[int], text: str):
    expected = max(numbers) - min(numbers) + 1
    told = gap([f"{text}{number}{text}.pt" for number in numbers])
    assert (told is not None) == (expected / 2 < len(numbers) < expected)


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "\x1b[31m", "\x85", "\udcff.pt", "a\u2028", "\0"])
def test_a_strange_name_is_refused_in_one_line_that_can_be_printed_anywhere(name: str):
    with pytest.raises(InvalidEvent) as raised:
        check_name(name)
    assert "\\" in str(raised.value)
    assert len(str(raised.value).encode().splitlines()) == 1
    assert printable(raised.value) == str(raised.value)


@pytest.mark.parametrize(
    "name", ["1.pt", "Galaxien Süd.pt", "銀河.safetensors", 'it\'s "quoted" \\ here.pt', "a\u200db"]
)
def test_other_names_stay_as_they_are(name: str):
    assert check_name(name) == printable(name) == name
