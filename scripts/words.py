"""Counts in words."""


def counted(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun, as in `1 file` and `2 files`.

    Args:
        count: How many there are.
        one: The noun.
        many: Its plural, where that takes more than an s.
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"
