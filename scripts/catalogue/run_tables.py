"""The files that the predictions of a run are in: one of all, or those of its ranks."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from lambda_image.data.table_file import TableError, read_batches
from lambda_image.errors import InvalidEvent
from scripts.catalogue.run_source import ResultSource, read_json

if TYPE_CHECKING:
    from arro3.core import RecordBatch

WHOLE, FOLDER = "predictions.parquet", "predictions/"


class TableNames(NamedTuple):
    """Names the files.

    Attributes:
        names: Their names under the result path, in the order of the predictions.
        missing: How many ranks have left none.
    """

    names: list[str]
    missing: int


def run_tables(source: ResultSource) -> TableNames:
    """Finds the files of a run's predictions.

    It is one file where the run has put them together. Otherwise these are the ranks' files: those that
    `combined_data.json` names of a run that has ended, and else those whose ranks have finished.

    Args:
        source: Where the results are.

    Returns:
        The files, of which there may be none.

    Raises:
        InvalidEvent: An object is not JSON.
    """
    if (whole := source.open(WHOLE)) is not None:
        whole.close()
        return TableNames([WHOLE], 0)
    items = read_json(source, "manifest.json") or []
    combined = read_json(source, "combined_data.json")
    if isinstance(combined, list):
        left = {record["rank"]: record for record in combined}
        idle = {item["rank"] for item in items if item["rank"] not in left and _finished(source, item)}
    else:
        left = {item["rank"]: record for item in items if (record := _finished(source, item))}
        idle = set()
    ranks = [item["rank"] for item in items if left.get(item["rank"], {}).get("predictions")]
    names = [f"{FOLDER}{rank}.parquet" for rank in ranks if left[rank]["predictions"].get("rows") != 0]
    return TableNames(names, len(items) - len(ranks) - len(idle))


def read_tables(source: ResultSource) -> "Iterator[RecordBatch]":
    """Reads all predictions of a run, some rows at a time.

    Args:
        source: Where the results are.

    Raises:
        InvalidEvent: A file is damaged.
    """
    for name in run_tables(source).names:
        if (file := source.open(name)) is not None:
            yield from _read(source, name, file)


def _read(source: ResultSource, name: str, file: BinaryIO) -> "Iterator[RecordBatch]":
    with file:
        try:
            yield from read_batches(file)
        except TableError as error:
            raise InvalidEvent(f"{name} of {source.place} cannot be read: {error}") from error


def _finished(source: ResultSource, item: dict[str, Any]) -> dict[str, Any] | None:
    """A rank's record, if it is of this run and names its predictions, and not only its attempt."""
    record = read_json(source, f"{item['rank']}.json")
    if record is None or record.get("execution") != item.get("execution") or not record.get("predictions"):
        return None
    return dict(record)
