"""Counts in words."""


def counted(count: int, one: str, many: str = "") -> str:
    """ "1 file", "2 files"; `many`: the plural, if it takes more than an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
