import pytest

from scripts.words import counted


@pytest.mark.parametrize(("count", "words"), [(0, "0 files"), (1, "1 file"), (2, "2 files"), (4096, "4,096 files")])
def test_one_is_no_plural(count: int, words: str):
    assert counted(count, "file") == words


def test_a_plural_of_its_own():
    assert counted(1, "galaxy", "galaxies") == "1 galaxy"
    assert counted(3, "galaxy", "galaxies") == "3 galaxies"
