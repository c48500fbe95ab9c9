"""What the values of flags may be, which several commands share."""

from collections.abc import Sequence
from math import inf

from lambda_image.errors import UsageError


def parse_names(flag: str, text: str, known: Sequence[str]) -> list[str]:
    """Return the names in `text`, which commas separate, each once and in the order of `known`.

    Raises:
        UsageError: A name is not one of `known`.
    """
    asked = [name.strip() for name in text.split(",")]
    if unknown := [name for name in asked if name not in known]:
        raise UsageError(f"{flag} {text}: {unknown[0]!r} is unknown; allowed: {', '.join(known)}")
    return [name for name in known if name in asked]


def parse_numbers(flag: str, text: str, least: int, most: int) -> list[int]:
    """Return the whole numbers in `text`, which commas separate, each once and in their order there.

    Raises:
        UsageError: One of them is no whole number from `least` to `most`.
    """
    numbers = [int(word) if word.strip().isdecimal() else None for word in text.split(",")]
    found = [number for number in dict.fromkeys(numbers) if number is not None and least <= number <= most]
    if len(found) < len(set(numbers)):
        raise UsageError(f"{flag} is {text!r}; allowed: whole numbers from {least} to {most:,}, separated by commas")
    return found


def check_whole(flag: str, number: int | None, least: int = 1, most: int | None = None) -> None:
    """Check a flag that, where it is given, is a whole number.

    Raises:
        UsageError: `number` is less than `least`, or more than `most`.
    """
    if number is not None and (number < least or (most is not None and number > most)):
        to = "" if most is None else f" to {most:,}"
        raise UsageError(f"{flag} is {number}; allowed: a whole number from {least}{to}")


def check_positive(flag: str, number: float | None) -> None:
    """Check a flag that, where it is given, is a number above 0.

    Raises:
        UsageError: it is not.
    """
    if number is not None and not 0 < number < inf:
        raise UsageError(f"{flag} is {number:g}; allowed: a number above 0")


def check_not_negative(flag: str, number: float | None) -> None:
    """Check a flag that, where it is given, is a number from 0.

    Raises:
        UsageError: it is not.
    """
    if number is not None and not 0 <= number < inf:
        raise UsageError(f"{flag} is {number:g}; allowed: a number from 0")
