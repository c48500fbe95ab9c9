"""A run's results where they lie: in a folder, or predictions alone in a file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from lambda_image.errors import InvalidEvent, UsageError
from lambda_image.partition_names import printable

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

    def holds(self, path: Path) -> bool:
        """Tells whether a file would lie among the results."""


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

    def holds(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self.folder.resolve())


@dataclass(frozen=True)
class PredictionsFileSource:
    """The file that `cosmicai infer` writes: predictions, and nothing else of a run."""

    file: Path

    @property
    def place(self) -> str:
        return printable(self.file)

    def open(self, name: str) -> BinaryIO | None:
        return self.file.open("rb") if name == "predictions.parquet" else None

    def holds(self, path: Path) -> bool:
        return path.resolve() == self.file.resolve()


def find_run(given: str, results: Path = RESULTS) -> ResultSource:
    """Finds the results of a run.

    Args:
        given: a folder of results, the name of a run, or a file of predictions.
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
    if folder.is_file() and folder.suffix.lower() == ".parquet":
        return PredictionsFileSource(folder)
    if not folder.is_dir():
        raise UsageError(f"{printable(given)} is no file of predictions (.parquet): name one, or the folder of a run")
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
