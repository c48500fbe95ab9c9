"""Counts in words."""


def counted(count: int, one: str, many: str = "") -> str:
    """Puts a count before its noun, as in `1 file` and `2 files`.

    Args:
        count: how many.
        one: the noun in the singular.
        many: its plural, if it takes more than an s.
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"
