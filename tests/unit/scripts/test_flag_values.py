import pytest

from lambda_image.errors import UsageError
from scripts.flag_values import check_at_least_one, parse_names, parse_numbers


def test_names_come_once_and_in_the_order_of_those_that_are_known():
    assert parse_names("--only", "relay, group,relay", ("group", "pairing", "relay")) == ["group", "relay"]


@pytest.mark.parametrize("text", ["group,punching", ""])
def test_a_name_that_is_not_known(text: str):
    with pytest.raises(UsageError, match=r"--only .* is unknown; allowed: group, relay"):
        parse_names("--only", text, ("group", "relay"))


def test_numbers_come_once_and_in_their_own_order():
    assert parse_numbers("--ranks", "8, 2,8", 2, 64) == [8, 2]


@pytest.mark.parametrize("text", ["1", "65", "two", "-2", "2.5", "2,", "", "2,two,two"])
def test_numbers_that_are_not_allowed(text: str):
    with pytest.raises(UsageError, match="allowed: whole numbers from 2 to 64, separated by commas"):
        parse_numbers("--ranks", text, 2, 64)


def test_there_is_at_least_one():
    check_at_least_one("--threads", 1)
    with pytest.raises(UsageError, match="--threads is 0; allowed: a whole number from 1"):
        check_at_least_one("--threads", 0)
