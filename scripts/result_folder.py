"""The local folder of a run's results. Those of an earlier run are replaced, and nothing else is ever removed."""

import json
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lambda_image.errors import UsageError
from lambda_image.json_text import parse_json
from lambda_image.partition_names import printable

RESULTS = re.compile(r"(manifest|summary|combined_data|gather_ended|\d+)\.json|predictions\.parquet|report\.html")
FOLDERS = {  # and what is in them
    "predictions": re.compile(r"\d+\.parquet"),  # a table for each rank
    "report": re.compile(r"\w+\.(csv|png|svg)"),  # the figures of `cosmicai report`
}


class ResultFolder:
    """A folder for results that can be written; `result_folder` makes it."""

    def __init__(self, given: Path, path: Path, partial: Path) -> None:
        self.given, self.path = given, path  # as --out named it, and where that is
        self._partial = partial

    def clear(self) -> None:
        """Removes an earlier run's results, so that none of them can be taken for those of the run that follows."""
        if self.path.is_dir():
            _check(self.path)
            for file in _files(self.path):
                file.unlink()
            for name in FOLDERS:
                if (self.path / name).exists():
                    (self.path / name).rmdir()

    def fill(self, put: Callable[[Path], int]) -> int:
        """Takes all results, which appear at once.

        Args:
            put: writes them into a folder, by their names under the result path, and returns how many there are.

        Returns:
            How many there are. Where there are none, there is no folder either.

        Raises:
            OSError: they cannot be written; no part of them is at `path`.
        """
        count = put(self._partial)
        if count:
            manifest = self._partial / "manifest.json"
            if manifest.exists():
                manifest.write_bytes(without_run_key(manifest.read_bytes()))
            self._partial.replace(self.path)  # which is absent or empty
        return count


@contextmanager
def result_folder(out: Path) -> Iterator[ResultFolder]:
    """Prepares the folder `out` for the results of a run, and removes what was prepared when the block ends.

    Raises:
        UsageError: `out` holds anything else than a run's results, or cannot be written.
    """
    path = out.resolve()  # a link stays, and what it leads to is replaced
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        _check(path)
        partial.mkdir(parents=True)
        (partial / "probe").write_bytes(b"")
        (partial / "probe").unlink()
    except OSError as error:
        raise UsageError(
            f"--out {printable(out)} cannot be written ({error.strerror}): choose another folder"
        ) from error
    try:
        yield ResultFolder(out, path, partial)
    finally:
        if partial.exists():
            shutil.rmtree(partial)


def without_run_key(manifest: bytes) -> bytes:
    """Removes the run's key from a manifest. The run is over, and a secret of it need not lie about."""
    items = parse_json(manifest)
    return json.dumps([{key: value for key, value in item.items() if key != "run_key"} for item in items]).encode()


def _check(path: Path) -> None:
    if path.is_mount():
        raise UsageError(f"--out {printable(path)} is a mount point, which cannot be replaced: choose a folder in it")
    if path.is_dir():
        folders = {path / name for name in FOLDERS if (path / name).is_dir() and not (path / name).is_symlink()}
        within = {entry for folder in (path, *folders) for entry in folder.iterdir()}
        strangers = within - folders - set(_files(path))
        if strangers:
            raise _not_ours(path, str(min(strangers).relative_to(path)))
        if any(path.iterdir()) and not _is_manifest(path / "manifest.json"):
            raise _not_ours(path, "and no manifest.json of a run")
    elif path.exists():
        raise UsageError(f"--out {printable(path)} is a file: choose a folder")


def _not_ours(path: Path, what: str) -> UsageError:
    shown = f"--out {printable(path)} holds something that is not a run's results ({printable(what)})"
    return UsageError(f"{shown}: choose another folder")


def _files(path: Path) -> list[Path]:
    """What has the name of a run's result."""
    named = [file for file in path.iterdir() if RESULTS.fullmatch(file.name)]
    for name, inside in FOLDERS.items():
        if (path / name).is_dir():
            named += [file for file in (path / name).iterdir() if inside.fullmatch(file.name)]
    return [file for file in named if file.is_file() and not file.is_symlink()]


def _is_manifest(file: Path) -> bool:
    try:
        items = parse_json(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    return (
        isinstance(items, list)
        and len(items) > 0
        and all(isinstance(item, dict) and {"run_id", "rank"} <= item.keys() for item in items)
    )
