"""The predictions of a run as one table."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
from pyarrow import parquet, types

from lambda_image.errors import InvalidEvent
from scripts.catalogue.run_source import ResultSource, read_json
from scripts.catalogue.table import Notes
from scripts.words import counted

Choice = Callable[[pa.Schema], list[str]]  # the columns to read of a table that has these


def read_predictions(source: ResultSource, choose: Choice | None = None) -> tuple[pa.Table, Notes]:
    """Reads the predictions of a run.

    They are one table where the run has put them together. Otherwise they are those of the ranks that finished, in the
    order of the manifest.

    Args:
        source: where they are.
        choose: names the columns that are read; without it, all of them are.

    Returns:
        The predictions, and what is missing of them.

    Raises:
        InvalidEvent: there are none, or they cannot be read.
    """
    if (whole := _table(source, "predictions.parquet", choose)) is not None:
        return whole, []
    items = read_json(source, "manifest.json") or []
    finished = [item["rank"] for item in items if _finished(source, item)]
    parts = [_table(source, f"predictions/{rank}.parquet", choose) for rank in finished]
    found = [part for part in parts if part is not None]
    if not found:
        raise InvalidEvent(f"{source.place} holds no predictions: no rank of the run has finished")
    notes = []
    if missing := len(items) - len(found):
        have = "has" if missing == 1 else "have"
        notes.append(f"{counted(missing, 'rank')} of {len(items):,} {have} left no predictions, which are missing here")
    return _joined(found), notes


def _finished(source: ResultSource, item: dict[str, Any]) -> bool:
    """Whether a rank's record is there, which is of this run and names its predictions, and not only its attempt."""
    record = read_json(source, f"{item['rank']}.json")
    return record is not None and record.get("execution") == item.get("execution") and bool(record.get("predictions"))


def _table(source: ResultSource, name: str, choose: Choice | None) -> pa.Table | None:
    file = source.open(name)
    if file is None:
        return None
    with file:
        try:
            table = parquet.ParquetFile(file)
            if "redshift" in table.schema_arrow.names:
                return table.read(choose(table.schema_arrow) if choose else None)
        except (pa.ArrowException, OSError) as error:
            raise InvalidEvent(f"{name} of {source.place} is not a Parquet file: {error}") from error
    raise InvalidEvent(f"{name} of {source.place} holds no predictions: there is no column redshift")


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
