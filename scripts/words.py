"""Counts in words."""


def counted(count: int, one: str, many: str = "") -> str:
    """As in `1 file` and `2 files`; `many`: the plural, if it takes more than an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
