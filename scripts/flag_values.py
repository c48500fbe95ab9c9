"""What the values of flags may be, which several commands share."""

from collections.abc import Sequence

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


def check_at_least_one(flag: str, number: int) -> None:
    """Check a flag that says how many there are of something.

    Raises:
        UsageError: `number` is less than 1.
    """
    if number < 1:
        raise UsageError(f"{flag} is {number}; allowed: a whole number from 1")
