"""Each row of a catalogue with the prediction that has its id."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyarrow import compute

from lambda_image.errors import InvalidEvent
from scripts.catalogue.ids import comparable, keys
from scripts.catalogue.meanings import OURS, added_names
from scripts.catalogue.table import Catalogue, Notes
from scripts.words import counted


@dataclass(frozen=True)
class Match:
    """Which prediction belongs to each row of a catalogue.

    Attributes:
        rows: Int64 [rows of the catalogue], the row of the prediction, null where there is none.
        repeated: Predictions that were left out because an earlier one has their id.
        unused: Predictions whose id is in no row of the catalogue.
        without_id: Predictions without an id.
    """

    rows: pa.Array
    repeated: int
    unused: int
    without_id: int


def match(
    catalogue: pa.Array, predictions: pa.Array, *, repeats: bool = False, named: str = "the predictions"
) -> Match:
    """Finds the prediction of each row of a catalogue.

    Args:
        catalogue: keys of the catalogue's rows.
        predictions: keys of the predictions.
        repeats: whether the first of several predictions with one id is taken, where they are refused otherwise.
        named: what messages call the predictions.

    Raises:
        InvalidEvent: several predictions have the same id, or no id is in both.
    """
    catalogue, predictions = comparable(catalogue, predictions)
    known = compute.indices_nonzero(compute.is_valid(predictions))
    ids = predictions.take(known)
    repeated = len(ids) - compute.count_distinct(ids).as_py()
    if repeated and not repeats:
        counts = ids.value_counts()
        several = compute.filter(counts.field("values"), compute.greater(counts.field("counts"), 1))
        raise InvalidEvent(
            f"{counted(len(several), 'id')} of the run {'has' if len(several) == 1 else 'have'} several predictions, "
            f"as {several[0].as_py()} has: --repeats first takes the first of each"
        )
    found = compute.index_in(catalogue, value_set=ids)
    taken = np.zeros(len(ids), np.bool_)
    taken[found.drop_null().to_numpy()] = True
    if len(catalogue) and len(ids) and not taken.any():
        raise InvalidEvent(
            f"no id is in both the catalogue and {named}: the catalogue has ids such as "
            f"{_example(catalogue)}, and the predictions such as {_example(ids)}"
        )
    unused = len(ids) - repeated - int(taken.sum())
    return Match(known.take(found).cast(pa.int64()), repeated, unused, len(predictions) - len(ids))


def _example(ids: pa.Array) -> str:
    known = ids.drop_null()
    return str(known[0].as_py()) if len(known) else "none at all"


def join(
    catalogue: Catalogue,
    predictions: Catalogue,
    by: tuple[str, str],
    *,
    prefix: str | None = None,
    only_matched: bool = False,
    repeats: bool = False,
    named: str = "the predictions",
) -> tuple[Catalogue, Notes]:
    """Adds predictions to a catalogue.

    Each row of the catalogue comes once, in its order, and its own columns stay as they are. Rows that share an id get
    the same prediction.

    Args:
        catalogue: the user's own.
        predictions: the columns to add, and the column of ids.
        by: the columns of ids, in the catalogue and in the predictions.
        prefix: names the added columns as Rubin does.
        only_matched: whether rows without a prediction are left out.
        repeats: as in `match`.
        named: as in `match`.

    Returns:
        The catalogue with the predictions, and what happened to rows.

    Raises:
        InvalidEvent: as in `match`, or ids cannot be compared.
        UsageError: the catalogue has the names of the added columns already.
    """
    theirs, ours = by
    added = [name for name in predictions.table.column_names if name != ours]
    names = added_names(catalogue.table.column_names, added, prefix)
    found = match(
        keys(catalogue.table[theirs], f"{theirs} of the catalogue"),
        keys(predictions.table[ours], f"{ours} of the predictions"),
        repeats=repeats,
        named=named,
    )
    table, rows = catalogue.table, found.rows
    matched = len(rows) - rows.null_count
    if only_matched and rows.null_count:
        kept = compute.is_valid(rows)
        table, rows = table.filter(kept), rows.filter(kept)
    taken = predictions.table.select(added).take(rows)
    for name in added:
        table = table.append_column(names[name], taken[name])
    meanings = {**catalogue.meanings, **{names[name]: predictions.meaning(name) for name in added}}
    notes = _notes(found, matched, by)
    notes += [
        f"{name} is called {new}, because the catalogue has a column of that name"
        for name, new in names.items()
        if new == OURS + name
    ]
    text = " ".join(part for part in (catalogue.text, predictions.text) if part)
    return Catalogue(table, meanings, text), notes


def _notes(found: Match, matched: int, by: tuple[str, str]) -> Notes:
    theirs, ours = by
    how = theirs if theirs == ours else f"{theirs} = {ours}"
    notes = [f"joined by {how}: {matched:,} of {counted(len(found.rows), 'row')} of the catalogue are in the run"]
    if found.unused:
        notes.append(f"{counted(found.unused, 'prediction')} in no row of the catalogue")
    if found.without_id:
        notes.append(f"{counted(found.without_id, 'prediction')} without an id")
    if found.repeated:
        notes.append(f"{counted(found.repeated, 'prediction')} left out, since an earlier one has the same id")
    return notes
