"""Which columns travel along with the galaxies, among them their ids."""

from collections.abc import Iterable

from lambda_image.data.columns import MAX_COLUMNS, MAX_NAME_LENGTH, RESERVED, ROW_DTYPES
from lambda_image.data.file_content import Column
from lambda_image.errors import UsageError
from scripts.id_names import ID_NAMES, folded, is_id_name
from scripts.importing.choosing import NONE, find
from scripts.importing.contents import Contents, is_readable, last_name, short_names, split_name

ALL = "all"  # as the value of a flag
POSITION_NAMES = ("ra", "dec", "raj2000", "dej2000", "ra_icrs", "de_icrs", "_ra", "_de", "alpha_j2000", "delta_j2000")


def choose_id(contents: Contents, given: str | None, rows: int) -> str | None:
    """The column of ids: the one that is named, or the first that has a name of ids."""
    if given is not None:
        name = find(contents, given, "--id")
        if not _can_travel(contents.arrays[name], rows):
            raise UsageError(f"--id {name} is no column of {rows:,} ids: {contents.listed([name])}")
        return name
    usable = [name for name, column in contents.arrays.items() if _can_travel(column, rows)]
    for wanted in ID_NAMES:
        if found := [name for name in usable if folded(last_name(name)) == wanted]:
            return found[0]
    return None


def same_ids(contents: Contents, chosen_id: str | None) -> list[str]:
    """The columns of further tables that are called as the ids are."""
    if chosen_id is None:
        return []
    table, wanted = split_name(chosen_id)[0], folded(last_name(chosen_id))
    return [name for name in contents.arrays if split_name(name)[0] != table and folded(last_name(name)) == wanted]


def choose_columns(
    contents: Contents, given: str | None, chosen_id: str | None, taken: Iterable[str], rows: int
) -> tuple[dict[str, str], list[str]]:
    """The columns that travel along: the arrays by the names that they get, and sentences about what stays behind.

    Raises:
        UsageError: a column that is named, or that of the ids, cannot travel.
    """
    taken = set(taken)
    usable = [name for name, column in contents.arrays.items() if _can_travel(column, rows) and name not in taken]
    told = []
    if given is not None and given not in (ALL, NONE):
        chosen = [find(contents, name.strip(), "--columns") for name in given.split(",") if name.strip()]
        if bad := [name for name in chosen if not _can_travel(contents.arrays[name], rows)]:
            raise UsageError(f"--columns {bad[0]} is no column of {rows:,} values: {contents.listed(bad)}")
    elif given == NONE:
        chosen = []
    else:
        chosen = usable
        if strange := [name for name, column in contents.arrays.items() if _is_strange(column, rows)]:
            told.append(f"what holds neither numbers nor text stays behind: {contents.listed(strange)}")
        if len(chosen) > MAX_COLUMNS - 1:
            telling = [name for name in usable if is_id_name(last_name(name)) or last_name(name) in POSITION_NAMES]
            chosen = telling[: MAX_COLUMNS - 1]
            told.append(f"{len(usable) - len(chosen):,} of {len(usable):,} columns stay behind; --columns names others")
    named = [
        name for name, column in contents.arrays.items() if is_id_name(last_name(name)) and column.shape != (rows,)
    ]
    if chosen_id is None and named:
        told.append(f"no ids come from {contents.listed(named)}, as {rows:,} are needed")
    if chosen_id is not None:
        chosen = [chosen_id, *(name for name in chosen if name != chosen_id)]
    names = {name: label.strip() for name, label in short_names(chosen).items()}
    hindered = {}
    for name, label in names.items():
        if why := _hindrance(label, contents.arrays[name], is_id=name == chosen_id):
            hindered[name] = why
    if chosen_id in hindered:
        raise UsageError(f"--id {chosen_id} cannot travel, since {hindered[chosen_id]}: rename it in {contents.name}")
    told += [f"{name} stays behind, since {why}" for name, why in hindered.items()]
    kept = {label: name for name, label in names.items() if name not in hindered}
    if len(kept) > MAX_COLUMNS - 1:  # `row` is one, too
        raise UsageError(f"--columns: {len(kept)} columns are to travel; {MAX_COLUMNS - 1} can")
    return kept, told


def _hindrance(label: str, column: Column, *, is_id: bool) -> str | None:
    """Why the table of predictions has no place for a column. Its `row` takes whole numbers, and joins nothing."""
    if len(label) > MAX_NAME_LENGTH:
        return f"its name has more than {MAX_NAME_LENGTH} letters"
    if label in RESERVED or (label == "row" and (is_id or column.dtype not in ROW_DTYPES)):
        return "the table of predictions has a column of this name"
    return None


def _can_travel(column: Column, rows: int) -> bool:
    return column.shape == (rows,) and is_readable(column.dtype)


def _is_strange(column: Column, rows: int) -> bool:
    return column.shape == (rows,) and not _can_travel(column, rows)
