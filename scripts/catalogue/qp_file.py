"""The redshift distributions of a run as a file of qp ensembles, which RAIL and other programs of the field read.

The quantiles of a rank lie in the order of its predictions, so both are read side by side, some rows at a time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet, types

from lambda_image.data.distributions import LEVELS, NAMES
from lambda_image.errors import InvalidEvent, UsageError
from lambda_image.partition_names import printable
from scripts.catalogue import ids, meanings
from scripts.catalogue.run_predictions import GALAXY
from scripts.catalogue.run_source import ResultSource, read_json
from scripts.words import counted

ROWS = 1 << 16  # at a time: 6 MB of quantiles
LONGEST = 64  # bytes of an id that is text
SUFFIX = ".hdf5"
BESIDE = ("zmode", "redshift", "redshift_true", "row")  # what the file says of each galaxy, besides its id


class IdColumn(NamedTuple):
    """The column of ids, and how the file holds it: as int64 or uint64, or as text."""

    name: str
    kind: pa.DataType


class Piece(NamedTuple):
    """Some galaxies that have a distribution."""

    quantiles: NDArray[np.float64]  # [N, 11]
    beside: dict[str, NDArray[Any]]  # what else the file says of them, [N] each


def check_qp(file: Path) -> None:
    """Raises UsageError unless the name of a file is one by which qp knows its format."""
    if file.suffix != SUFFIX:
        raise UsageError(f"--qp {printable(file)}: its name must end in {SUFFIX}")


def write_qp(source: ResultSource, file: Path, wanted_id: str | None = None) -> list[str]:
    """Writes the distributions of a run.

    Args:
        source: where the run's results are.
        file: where they go, .hdf5. It appears whole or not at all.
        wanted_id: the column of ids; without it, the one that identifies galaxies.

    Returns:
        What there is to say of them, in lines.

    Raises:
        InvalidEvent: the run has no distributions, or they do not belong to its predictions.
        UsageError: there is no such column of ids.
        ModuleNotFoundError: qp is not installed.
    """
    import qp  # takes a second, and only this needs it

    ranks, without = _ranks(source)
    main_id = _main_id(source, ranks, wanted_id)
    rows, there = (sum(numbers) for numbers in zip(*(_count(source, rank) for rank in ranks), strict=True))
    if not there:
        raise InvalidEvent(f"{source.place} holds no galaxy with a redshift distribution")
    partial = file.with_name(f".{file.stem}.partial{SUFFIX}")
    start, out, groups = 0, None, None
    try:
        for piece in (piece for rank in ranks for piece in _pieces(source, rank, main_id)):
            count = len(piece.quantiles)
            data = {"quants": np.array(LEVELS), "locs": piece.quantiles}
            ensemble = qp.Ensemble(qp.quant, data=data, ancil=piece.beside)
            if groups is None:
                groups, out = ensemble.initializeHdf5Write(str(partial), there)
            ensemble.writeHdf5Chunk(groups, start, start + count)
            start += count
        ensemble.finalizeHdf5Write(out)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    told = [f"{counted(there, 'redshift distribution')} in {printable(file)}"]
    if missing := rows - there:
        have = "has none, and is" if missing == 1 else "have none, and are"
        told.append(f"{counted(missing, 'galaxy', 'galaxies')} without a prediction {have} left out")
    if without:
        have = "has" if without == 1 else "have"
        told.append(f"{counted(without, 'rank')} of {len(ranks) + without:,} {have} left none, which are missing here")
    return told


def _ranks(source: ResultSource) -> tuple[list[int], int]:
    """Those with quantiles, and how many have none."""
    if not (items := read_json(source, "manifest.json")):
        raise InvalidEvent(f"{source.place} is not the folder of a run, which --qp needs: it has no manifest.json")
    found = [item["rank"] for item in items if _exists(source, f"quantiles/{item['rank']}.parquet")]
    if not found:
        raise InvalidEvent(
            f"{source.place} holds no quantiles, which a run writes where its weights have a calibration: "
            "`cosmicai calibrate` makes one"
        )
    return found, len(items) - len(found)


def _exists(source: ResultSource, name: str) -> bool:
    if (file := source.open(name)) is None:
        return False
    file.close()
    return True


@contextmanager
def _open(source: ResultSource, name: str) -> Iterator[parquet.ParquetFile]:
    file = source.open(name)
    if file is None:
        raise InvalidEvent(f"{name} of {source.place} is missing: the results are not whole")
    with file:
        try:
            yield parquet.ParquetFile(file)
        except (pa.ArrowException, OSError) as error:
            raise InvalidEvent(f"{name} of {source.place} is not a Parquet file: {error}") from error
        except KeyError as error:
            raise InvalidEvent(f"{name} of {source.place} is not of this version: {error.args[0]}") from error


def _main_id(source: ResultSource, ranks: list[int], wanted: str | None) -> IdColumn | None:
    """Ids of which one is missing, or that are not whole numbers everywhere, are text, as HDF5 has no missing ones."""
    schemas = {}
    for rank in ranks:
        with _open(source, f"predictions/{rank}.parquet") as table:
            if table.metadata.num_rows:
                schemas[rank] = table.schema_arrow
    names = dict.fromkeys(name for schema in schemas.values() for name in meanings.id_columns(schema))
    if (name := ids.choose_main_id(list(names), wanted)) is None:
        return None
    if name in BESIDE or "/" in name or name == ".":
        raise UsageError(f"--id {printable(name)}: the file cannot have ids of this name. Name another column by --id")
    kinds: set[pa.DataType | None] = set()
    for rank, schema in schemas.items():
        there = name in schema.names
        whole = there and types.is_integer(kind := schema.field(name).type)
        kinds.add(kind if whole and not _nulls(source, rank, name) else None)
    if None in kinds or (pa.uint64() in kinds and any(types.is_signed_integer(kind) for kind in kinds)):
        return IdColumn(name, pa.string())
    return IdColumn(name, pa.uint64() if pa.uint64() in kinds else pa.int64())


def _nulls(source: ResultSource, rank: int, name: str) -> int:
    with _open(source, f"predictions/{rank}.parquet") as table:
        return int(table.read([name])[name].null_count)


def _count(source: ResultSource, rank: int) -> tuple[int, int]:
    """Rows, and those with a distribution."""
    with _open(source, f"quantiles/{rank}.parquet") as table:
        there = sum(int(_quantiles(batch)[1].sum()) for batch in table.iter_batches(ROWS, columns=list(NAMES)))
        return table.metadata.num_rows, there


def _quantiles(described: pa.RecordBatch) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """All of them [N, 11], and which rows are distributions."""
    quantiles = np.column_stack([described[name].to_numpy(zero_copy_only=False) for name in NAMES]).astype(float)
    return quantiles, np.isfinite(quantiles).all(axis=1)


def _pieces(source: ResultSource, rank: int, main_id: IdColumn | None) -> Iterator[Piece]:
    with (
        _open(source, f"predictions/{rank}.parquet") as predictions,
        _open(source, f"quantiles/{rank}.parquet") as distributions,
    ):
        if predictions.metadata.num_rows != distributions.metadata.num_rows:
            raise _strangers(source, rank)
        wanted = [GALAXY[0], *BESIDE[1:], *([main_id.name] if main_id else [])]
        batches = zip(distributions.iter_batches(ROWS), predictions.iter_batches(ROWS, columns=wanted), strict=True)
        for described, predicted in batches:
            if not all(described[name].equals(predicted[name]) for name in GALAXY):
                raise _strangers(source, rank)
            quantiles, kept = _quantiles(described)
            if kept.any():
                beside = described["z_mode"], *(predicted[name] for name in BESIDE[1:])
                columns = {
                    name: values.to_numpy(zero_copy_only=False) for name, values in zip(BESIDE, beside, strict=True)
                }
                if main_id:
                    columns[main_id.name] = _ids(predicted, main_id)
                yield Piece(quantiles[kept], {name: values[kept] for name, values in columns.items()})


def _ids(predicted: pa.RecordBatch, column: IdColumn) -> NDArray[Any]:
    """Texts are bytes of one length, which HDF5 holds, and empty where an id is missing."""
    there = column.name in predicted.schema.names
    values = predicted[column.name] if there else pa.nulls(predicted.num_rows, pa.string())
    if column.kind != pa.string():
        return np.asarray(values.cast(column.kind))
    texts = np.char.encode(np.array(["" if value is None else str(value) for value in values.to_pylist()]), "utf-8")
    if texts.dtype.itemsize > LONGEST:
        raise InvalidEvent(f"ids of more than {LONGEST} bytes have no place in the file: name another column by --id")
    return texts.astype(f"S{LONGEST}")


def _strangers(source: ResultSource, rank: int) -> InvalidEvent:
    files = f"quantiles/{rank}.parquet and predictions/{rank}.parquet"
    return InvalidEvent(f"{files} of {source.place} are not about the same galaxies: fetch the results again")
