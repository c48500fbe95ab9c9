"""A run's results where they lie. A folder is the one place that is read today."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import pyarrow as pa
from pyarrow import parquet

from lambda_image.errors import InvalidEvent, UsageError
from lambda_image.partition_names import printable
from scripts.catalogue.table import Notes
from scripts.words import counted

RESULTS = Path("out")  # where `cosmicai demo` and `cosmicai invoke` put the folders of their runs


class ResultSource(Protocol):
    """A place that holds the result objects of one run."""

    @property
    def place(self) -> str:
        """Names the place, for messages."""

    def open(self, name: str) -> BinaryIO | None:
        """Opens a result object for reading.

        Args:
            name: its name under the result path, as `predictions/0.parquet`.

        Returns:
            The open object, or None if there is none of that name.
        """


@dataclass(frozen=True)
class ResultFolderSource:
    """The folder that `--out` of a run named."""

    folder: Path

    @property
    def place(self) -> str:
        return printable(self.folder)

    def open(self, name: str) -> BinaryIO | None:
        try:
            return (self.folder / name).open("rb")
        except FileNotFoundError:
            return None


def find_run(given: str, results: Path = RESULTS) -> ResultSource:
    """Finds the results of a run.

    Args:
        given: a folder of results, or the name of a run.
        results: the folder that holds the folders of runs.

    Raises:
        UsageError: there are none.
    """
    if given.startswith("s3://"):
        raise UsageError(f"{printable(given)} is on S3, which is not read: copy the results into a folder, and name it")
    folder = Path(given)
    if not folder.exists():
        folder = next((path.parent for path in results.glob("*/summary.json") if _run_id(path) == given), folder)
    if not folder.exists():
        raise UsageError(f"{printable(given)} is neither a folder nor a run whose results are in {results}/")
    if not folder.is_dir():
        raise UsageError(f"{printable(given)} is a file: name the folder of the run that it belongs to")
    if not (folder / "manifest.json").is_file():
        raise UsageError(f"{printable(given)} holds no results of a run: no manifest.json")
    return ResultFolderSource(folder)


def _run_id(summary: Path) -> object:
    try:
        content = json.loads(summary.read_bytes())
    except (OSError, ValueError):
        return None
    return content.get("run_id") if isinstance(content, dict) else None


def read_json(source: ResultSource, name: str) -> Any:
    """Reads a result object that is JSON; None if it is not there.

    Raises:
        InvalidEvent: it is not JSON.
    """
    file = source.open(name)
    if file is None:
        return None
    with file:
        try:
            return json.load(file)
        except ValueError as error:
            raise InvalidEvent(f"{name} of {source.place} is not JSON: {error}") from error


def read_predictions(
    source: ResultSource, choose: Callable[[pa.Schema], list[str]] | None = None
) -> tuple[pa.Table, Notes]:
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
    """Whether a rank's record is there, which is written after its predictions, and of this run."""
    record = read_json(source, f"{item['rank']}.json")
    return record is not None and record.get("execution") == item.get("execution")


def _table(source: ResultSource, name: str, choose: Callable[[pa.Schema], list[str]] | None) -> pa.Table | None:
    file = source.open(name)
    if file is None:
        return None
    with file:
        try:
            table = parquet.ParquetFile(file)
            return table.read(choose(table.schema_arrow) if choose else None)
        except (pa.ArrowException, OSError) as error:
            raise InvalidEvent(f"{name} of {source.place} is not a Parquet file: {error}") from error


def _joined(parts: list[pa.Table]) -> pa.Table:
    """One table; columns whose kind differs between ranks become text, as they do where a run joins its parts."""
    try:
        return pa.concat_tables(parts, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        differing = {
            field.name
            for part in parts
            for field in part.schema
            for other in parts
            if field.name in other.column_names and other.schema.field(field.name).type != field.type
        }
        texts = [
            pa.table(
                {name: part[name].cast(pa.string()) if name in differing else part[name] for name in part.column_names}
            )
            for part in parts
        ]
        return pa.concat_tables(texts, promote_options="permissive")
