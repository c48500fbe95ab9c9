"""A table whose columns say what they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pyarrow as pa

Notes = list[str]  # sentences for the user, about what was done to a table


@dataclass(frozen=True)
class Meaning:
    """What a column holds, in the words that FITS and VOTables have for it. Any of them may be unknown, as ""."""

    unit: str = ""
    ucd: str = ""  # by the vocabulary UCD1+
    text: str = ""


@dataclass(frozen=True)
class Catalogue:
    """A table, what its columns mean, and what is to be said about the whole of it."""

    table: pa.Table
    meanings: Mapping[str, Meaning] = field(default_factory=dict)  # by the column's name
    text: str = ""

    def meaning(self, name: str) -> Meaning:
        return self.meanings.get(name, Meaning())

    def without(self, names: list[str]) -> "Catalogue":
        """Leaves columns out."""
        return replace(self, table=self.table.drop_columns(names)) if names else self


def distinct_names(names: list[str]) -> list[str]:
    """Makes names differ by more than the case of their letters, which FITS and SQL do not tell apart.

    Args:
        names: those of a table's columns.

    Returns:
        As many names. Where one had come before, it ends in `_2` or a higher number.
    """
    found: list[str] = []
    taken = {name.lower() for name in names}
    seen: set[str] = set()
    for name in names:
        new, number = name, 2
        while new.lower() in seen or (new != name and new.lower() in taken):
            new, number = f"{name}_{number}", number + 1
        seen.add(new.lower())
        found.append(new)
    return found
