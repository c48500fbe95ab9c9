"""The content of a stretch: finished partitions of a rank as a table, whose file metadata tell them apart. No I/O.

The metadata have which partitions of the assignment the table holds and what the work on each of them was.
"""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from lambda_image.data.predictions import Predictions, file_metadata
from lambda_image.data.table_file import read_batches, read_metadata, reported, write_batches
from lambda_image.data.table_shape import TableShape
from lambda_image.json_text import parse_json
from lambda_image.results import Work

METADATA = "cosmicai"  # the key in the file metadata


@dataclass(frozen=True)
class Finished:
    """The predictions of one partition of a rank, and the work that they took."""

    table: Predictions
    work: Work


class PartFacts(NamedTuple):
    """What a stretch says of one partition."""

    place: int  # in the assignment
    rows: int
    work: Work


@dataclass(frozen=True)
class Kept:
    """What a stretch holds: finished partitions by their place in the assignment."""

    finished: Mapping[int, Finished]
    facts: Mapping[str, Any]  # what its attempt says of itself


def metadata_of(parts: Iterable[PartFacts], execution: str, facts: Mapping[str, Any]) -> dict[str, str]:
    """Makes the metadata of a stretch.

    Args:
        parts: its partitions, in the order of their rows.
        execution: the run, since an earlier one may have left stretches in the same place.
        facts: what the attempt says of itself.
    """
    told = [{"partition": part.place, "rows": part.rows, "work": part.work.to_json()} for part in parts]
    return {METADATA: json.dumps({"execution": execution, "parts": told, "facts": dict(facts)})}


def encode(finished: Mapping[int, Finished], execution: str, facts: Mapping[str, Any]) -> bytes:
    """Makes the content of a stretch.

    Args:
        finished: partitions by their place in the assignment.
        execution: the run.
        facts: what the attempt says of itself.

    Returns:
        A Parquet file.
    """
    tables, buffer = [part.table for part in finished.values()], io.BytesIO()
    shape = TableShape.joined(table.shape() for table in tables)
    parts = (PartFacts(place, len(part.table), part.work) for place, part in finished.items())
    metadata = {**file_metadata(shape), **metadata_of(parts, execution, facts)}
    write_batches(buffer, shape.schema(), (table.to_batch(shape) for table in tables if len(table)), metadata)
    return buffer.getvalue()


def decode(data: bytes, execution: str) -> Kept | None:
    """Reads a stretch.

    Returns:
        What it holds, or None where it is another run's, or is none.
    """
    try:
        told = parse_json(read_metadata(data)[METADATA])
        if told["execution"] != execution:
            return None
        parts = [PartFacts(int(p["partition"]), int(p["rows"]), Work.from_json(p["work"])) for p in told["parts"]]
        tables = _parted(data, [part.rows for part in parts])
        facts = told["facts"]
    except (ValueError, LookupError, TypeError):
        return None
    return Kept({part.place: Finished(table, part.work) for part, table in zip(parts, tables, strict=True)}, facts)


def _parted(data: bytes, counts: Sequence[int]) -> list[Predictions]:
    """Parts a file into tables of so many rows each.

    The name of a partition is in memory once for all its rows. Names of all rows would take more than all else.

    Raises:
        ValueError: it has other rows, or is no table of predictions.
    """
    if min(counts, default=0) < 0:
        raise ValueError("a negative number of rows")
    ends = np.cumsum([0, *counts])
    pieces: list[list[Predictions]] = [[] for _ in counts]
    none, at = Predictions.concatenate([]), 0
    with reported():
        for batch in read_batches(data):
            table = Predictions.from_batch(batch)
            none = table.rows(0, 0)
            for part in range(np.searchsorted(ends, at, "right") - 1, len(counts)):
                if ends[part] >= at + len(table):
                    break
                start, stop = max(ends[part] - at, 0), ends[part + 1] - at
                pieces[part].append(table.rows(start, stop))
            at += len(table)
        if at != ends[-1]:
            raise ValueError(f"{at} rows, and not {ends[-1]}")
        return [_one_source(Predictions.concatenate(found or [none])) for found in pieces]


def _one_source(table: Predictions) -> Predictions:
    return replace(table, source=np.broadcast_to(table.source[0], len(table))) if len(table) else table
