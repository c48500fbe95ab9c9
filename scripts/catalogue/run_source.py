"""A run's results where they lie: in a folder, or predictions alone in a file."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from lambda_image.errors import InvalidEvent, UsageError
from lambda_image.json_text import parse_json
from lambda_image.partition_names import printable

RUN_NAME = re.compile(r"[\w+=@-]{1,80}", re.ASCII)  # what Step Functions allows; with a dot it is rather a file
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


def find_run(
    given: str,
    results: Path = RESULTS,
    fetch: Callable[[str], Path] | None = None,
    say: Callable[[str], object] | None = None,
) -> ResultSource:
    """Finds the results of a run.

    Args:
        given: a folder of results, the ID of a run, the ARN of its execution, or a file of predictions.
        results: the folder that holds the folders of runs.
        fetch: copies the results of a run that is not in `results`, by its ID, and returns the folder they are in.
        say: is told which folder an ID or an ARN stands for, where that is here already.

    Raises:
        UsageError: there are none.
        RunError: they cannot be fetched.
    """
    if given.startswith("s3://"):
        raise UsageError(f"{printable(given)} is on S3: name the run, or copy the results into a folder, and name that")
    folder, name = Path(given), given.rpartition(":")[2] if given.startswith("arn:") else given
    if not folder.exists() and (found := folder_of_run(given, results)):
        folder = found
        if say is not None:  # another place may have a run of the same name
            say(f"{printable(folder)}/ is read, which holds the results of {printable(name)}")
    if not folder.exists():
        if fetch is None or not RUN_NAME.fullmatch(name):
            raise UsageError(
                f"{printable(given)} does not exist: name the folder of a run, or a run that is in {results}/"
            )
        try:
            folder = fetch(given)
        except UsageError as error:
            raise UsageError(f"{printable(given)} does not exist here, and cannot be fetched: {error}") from error
    if folder.is_file() and folder.suffix.lower() == ".parquet":
        return PredictionsFileSource(folder)
    if not folder.is_dir():
        raise UsageError(f"{printable(given)} is no file of predictions (.parquet): name one, or the folder of a run")
    if not (folder / "manifest.json").is_file():
        raise UsageError(f"{printable(given)} holds no results of a run: no manifest.json")
    return ResultFolderSource(folder)


def folder_of_run(name: str, results: Path = RESULTS) -> Path | None:
    """Looks for the results of a run by its ID or the ARN of its execution.

    Args:
        name: the ID or ARN. Runs of one name in two accounts or regions have two ARNs.
        results: the folder that holds the folders of runs.

    Returns:
        The folder of the run, or None where it is not there.
    """
    key = "execution" if name.startswith("arn:") else "run_id"
    summaries = sorted(file for file in results.glob("*/summary.json") if not is_hidden(file.parent))
    return next((path.parent for path in summaries if _of_run(path, key) == name), None)


def is_hidden(folder: Path) -> bool:
    """Tells whether a folder is one in which results are put together, as a command that was killed leaves it."""
    return folder.name.startswith(".")


def _of_run(summary: Path, key: str) -> object:
    try:
        content = parse_json(summary.read_bytes())
    except (OSError, ValueError):
        return None
    return content.get(key) if isinstance(content, dict) else None


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
