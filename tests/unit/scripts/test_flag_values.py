import math

import pytest

from lambda_image.errors import UsageError
from scripts.flag_values import check_not_negative, check_positive, check_whole, parse_names, parse_numbers


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


def test_a_whole_number():
    for given in (None, 2, 64):
        check_whole("--ranks", given, 2, 64)
    for wrong in (1, 65):
        with pytest.raises(UsageError, match=f"--ranks is {wrong}; allowed: a whole number from 2 to 64"):
            check_whole("--ranks", wrong, 2, 64)
    with pytest.raises(UsageError, match=r"--threads is 0; allowed: a whole number from 1$"):
        check_whole("--threads", 0)


def test_a_number():
    check_positive("--a", None)
    check_not_negative("--a", 0)
    for check, value in ((check_positive, 0.0), (check_positive, math.nan), (check_not_negative, -1.0)):
        with pytest.raises(UsageError, match=f"--a is {value:g}; allowed: a number"):
            check("--a", value)
