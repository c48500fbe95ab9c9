"""The local folder of a run's results. Those of an earlier run make way for them, and nothing else is ever removed."""

import json
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path

from lambda_image.errors import UsageError
from lambda_image.json_text import parse_json
from lambda_image.partition_names import printable
from scripts.catalogue.run_source import RUN_NAME

RESULTS = re.compile(r"(manifest|summary|combined_data|gather_ended|\d+)\.json|predictions\.parquet|report\.html")
FOLDERS = {  # and what is in them
    "predictions": re.compile(r"\d+\.parquet"),  # a table for each rank
    "quantiles": re.compile(r"\d+\.parquet"),  # and one of its redshift distributions
    "report": re.compile(r"\w+\.(csv|png|svg)"),  # the figures of `cosmicai report`
}


class ResultFolder:
    """A folder for results that can be written; `result_folder` makes it."""

    def __init__(self, given: Path, path: Path, partial: Path, *, keep: bool = False) -> None:
        self.given, self.path = given, path  # as --out named it, and where that is
        self._partial, self._keep = partial, keep

    def clear(self, print_line: Callable[[str], None]) -> None:
        """Clears an earlier run's results away, so that none of them can be taken for those of the run that follows.

        Args:
            print_line: shows a line of text, which says so.
        """
        if not self.path.is_dir():
            return
        _check(self.path)
        earlier = _run_in(self.path)
        if earlier is not None and self._keep:
            beside = _free_place(self.path, earlier)
            self.path.rename(beside)
            shown = beside if self.given.is_symlink() else self.given.with_name(beside.name)
            print_line(f"the results of {printable(earlier)} are in {printable(shown)}/ now")
            return
        if earlier is not None:
            print_line(f"the results of {printable(earlier)} in {printable(self.given)}/ are replaced")
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
        found = put(self._partial)
        if found:
            manifest = self._partial / "manifest.json"
            if manifest.exists():
                manifest.write_bytes(without_run_key(manifest.read_bytes()))
            self._partial.replace(self.path)  # which is absent or empty
        return found


@contextmanager
def result_folder(out: Path, *, overwrite: bool = False, keep: bool = False) -> Iterator[ResultFolder]:
    """Prepares the folder `out` for the results of a run, and removes what was prepared when the block ends.

    Args:
        out: The folder.
        overwrite: Whether the results of an earlier run may be replaced.
        keep: Whether they are moved instead, into a folder beside `out` that has the name of their run.

    Raises:
        UsageError: `out` holds anything else than a run's results, or these, or cannot be written.
    """
    path = out.resolve()  # a link stays, and what it leads to is replaced
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        _check(path)
        if not overwrite and not keep and (earlier := _run_in(path)):
            held = f"--out {printable(out)} holds the results of {printable(earlier)}"
            raise UsageError(f"{held}: name another folder, or give --overwrite")
        partial.mkdir(parents=True)
        (partial / "probe").write_bytes(b"")
        (partial / "probe").unlink()
    except OSError as error:
        raise UsageError(
            f"--out {printable(out)} cannot be written ({error.strerror}): choose another folder"
        ) from error
    try:
        yield ResultFolder(out, path, partial, keep=keep and not overwrite)
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
        if any(path.iterdir()) and _run_in(path) is None:
            raise _not_ours(path, "and no manifest.json of a run")
    elif path.exists():
        raise UsageError(f"--out {printable(path)} is a file: choose a folder")


def _not_ours(path: Path, what: str) -> UsageError:
    shown = f"--out {printable(path)} holds something that is not a run's results ({printable(what)})"
    return UsageError(f"{shown}: choose another folder")


def _free_place(path: Path, run: str) -> Path:
    """A folder beside `path` that is not there yet, where `cosmicai results` finds a run by its ID."""
    name = run if RUN_NAME.fullmatch(run) else f"{path.name}-earlier"
    names = chain([name], (f"{name}-{number}" for number in count(2)))
    return next(place for place in map(path.with_name, names) if not place.exists())


def _files(path: Path) -> list[Path]:
    """What has the name of a run's result."""
    named = [file for file in path.iterdir() if RESULTS.fullmatch(file.name)]
    for name, inside in FOLDERS.items():
        if (path / name).is_dir():
            named += [file for file in (path / name).iterdir() if inside.fullmatch(file.name)]
    return [file for file in named if file.is_file() and not file.is_symlink()]


def _run_in(path: Path) -> str | None:
    """The name of the run whose results a folder holds, by their manifest."""
    try:
        items = parse_json((path / "manifest.json").read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    if isinstance(items, list) and items and all(isinstance(item, dict) and "rank" in item for item in items):
        return str(items[0].get("run_id") or "") or None
    return None
