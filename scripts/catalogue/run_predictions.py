"""The predictions of a run as one table."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from pyarrow import parquet, types

from lambda_image.data.distributions import IN_CATALOGUES
from lambda_image.errors import InvalidEvent
from scripts.catalogue.run_source import ResultSource, read_json
from scripts.catalogue.run_tables import WHOLE, run_tables
from scripts.catalogue.table import Notes
from scripts.words import counted

GALAXY = ("source", "row")  # what finds a galaxy again in the distributions of its rank
DESCRIBED = ("z_mode", *IN_CATALOGUES)  # what a catalogue has of a distribution, all of which `--qp` writes

Choice = Callable[[pa.Schema], list[str]]  # the columns to read of a table that has these


def read_predictions(source: ResultSource, choose: Choice | None = None) -> tuple[pa.Table, Notes]:
    """Reads the predictions of a run.

    They are one table where the run has put them together. Otherwise they are those of the ranks that finished, in the
    order of the manifest. Where the run has redshift distributions, their mode and the quantiles that bound 68 and 95 %
    come besides.

    Args:
        source: where they are.
        choose: names the columns that are read; without it, all of them are. `source` and `row` come besides where a
            run has distributions, which are found by them.

    Returns:
        The predictions, and what is missing of them.

    Raises:
        InvalidEvent: there are none, or they cannot be read.
    """
    tables, distributions = run_tables(source), _distributions(source)
    keys = GALAXY if distributions else ()
    parts = [_table(source, name, keys, choose) for name in tables.names]
    found = [part for part in parts if part is not None]
    if tables.names == [WHOLE] and found:
        return _with_distributions(found[0], distributions), _failed(source)
    if not found:
        raise InvalidEvent(f"{source.place} holds no predictions: no rank of the run has finished")
    notes = []
    if missing := tables.missing + len(parts) - len(found):
        ranks = len(read_json(source, "manifest.json"))
        have = "has" if missing == 1 else "have"
        notes.append(f"{counted(missing, 'rank')} of {ranks:,} {have} left no predictions, which are missing here")
    return _with_distributions(_joined(found), distributions), notes


def _failed(source: ResultSource) -> Notes:
    """Says that ranks have failed. A run puts together what the others have predicted."""
    summary = read_json(source, "summary.json")
    failed = summary.get("failed_ranks") if isinstance(summary, dict) else None
    if not failed:
        return []
    return [f"{counted(len(failed), 'rank')} of {summary['world_size']:,} failed, and predictions are missing here"]


def _table(source: ResultSource, name: str, keys: tuple[str, ...], choose: Choice | None) -> pa.Table | None:
    file = source.open(name)
    if file is None:
        return None
    with file:
        try:
            table = parquet.ParquetFile(file)
            if "redshift" in table.schema_arrow.names:
                return table.read([*keys, *choose(table.schema_arrow)] if choose else None)
        except (pa.ArrowException, OSError) as error:
            raise InvalidEvent(f"{name} of {source.place} is not a Parquet file: {error}") from error
    raise InvalidEvent(f"{name} of {source.place} holds no predictions: there is no column redshift")


def _with_distributions(predictions: pa.Table, distributions: list[pa.Table]) -> pa.Table:
    """Adds DESCRIBED, null for a galaxy that has no distribution. A run without distributions has no such columns."""
    if not distributions or DESCRIBED[0] in predictions.column_names:
        return predictions
    known = pa.concat_tables(distributions)
    places = _places(predictions, known)
    behind = "redshift_err" if "redshift_err" in predictions.column_names else "redshift"
    for place, name in enumerate(DESCRIBED, predictions.column_names.index(behind) + 1):
        predictions = predictions.add_column(place, name, known[name].take(places))
    return predictions


def _places(predictions: pa.Table, known: pa.Table) -> pa.Array:
    """Where each prediction has its distribution in `known`, null where it has none.

    Both are in the order of the ranks. So where a partition numbers several of its rows alike, the first prediction of
    that number has the first distribution of it, and so on. If there are not as many of both, nobody can say which
    belongs to which, and none is given.
    """
    both = pa.concat_tables([predictions.select(GALAXY), known.select(GALAXY)])
    # As numbers before they are one array, which has no place for 2 GiB of text.
    sources = both["source"].dictionary_encode().combine_chunks().indices.to_numpy(zero_copy_only=False)
    rows = both["row"].to_numpy()
    order = np.lexsort((rows, sources))  # keeps the order of what is alike, so that predictions come first
    begins = np.ones(len(order), np.bool_)
    begins[1:] = (np.diff(sources[order]) != 0) | (np.diff(rows[order]) != 0)
    group = np.cumsum(begins) - 1
    is_prediction = order < len(predictions)
    of_both = np.bincount(group)
    of_predictions = np.bincount(group[is_prediction], minlength=len(of_both))
    at = np.flatnonzero(is_prediction & (2 * of_predictions == of_both)[group])
    places = np.full(len(predictions), -1)
    places[order[at]] = order[at + of_predictions[group[at]]] - len(predictions)
    return pa.array(places, mask=places < 0)


def _distributions(source: ResultSource) -> list[pa.Table]:
    """Of each rank that has written distributions, DESCRIBED with the galaxies that they are of."""
    tables, wanted = [], [*GALAXY, *DESCRIBED]
    for item in read_json(source, "manifest.json") or []:
        if (file := source.open(name := f"quantiles/{item['rank']}.parquet")) is None:
            continue
        with file:
            try:
                table = parquet.ParquetFile(file)
                if missing := [column for column in wanted if column not in table.schema_arrow.names]:
                    raise InvalidEvent(f"{name} of {source.place} is not of this version: it has no {missing[0]}")
                tables.append(table.read(wanted))
            except (pa.ArrowException, OSError) as error:
                raise InvalidEvent(f"{name} of {source.place} is not a Parquet file: {error}") from error
    return tables


def _joined(parts: list[pa.Table]) -> pa.Table:
    """One table; columns whose kind differs between ranks become text, as they do where a run joins its parts."""
    kinds: dict[str, set[str]] = {}
    for field in (field for part in parts for field in part.schema if not types.is_null(field.type)):
        kinds.setdefault(field.name, set()).add(_kind(field.type))
    mixed = {name for name, found in kinds.items() if len(found) > 1}
    alike = [
        pa.table({name: part[name].cast(pa.string()) if name in mixed else part[name] for name in part.column_names})
        for part in parts
    ]
    return pa.concat_tables(alike, promote_options="permissive")


def _kind(kind: pa.DataType) -> str:
    """What types have in common of which one can hold the values of the other."""
    if types.is_integer(kind):
        return "integer" if kind != pa.uint64() else "uint64"
    return "float" if types.is_floating(kind) else str(kind)
