"""The files that a command line names, judged before any work. All commands have one rule and one wording for them.

What is read has to be there. What is written must not be there, unless `--overwrite` says that it may be replaced. A
folder is replaced only where it holds nothing but what this command would write.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lambda_image.errors import UsageError
from lambda_image.partition_names import printable

ENDINGS = {"--json": ".json", "--csv": ".csv", "--dropped": ".csv"}  # of files that a flag names in every command
PARTITION = re.compile(r"\d+\.(safetensors|pt)")  # as `cosmicai split` and `cosmicai import` name them


def add_overwrite(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds the flag `--overwrite`. `what` is replaced by it, in words."""
    parser.add_argument("--overwrite", action="store_true", help=f"replace {what}")


def check_there(flag: str, path: Path | None, what: str, *, folders: bool = False) -> None:
    """Checks that what a command reads is there.

    Args:
        flag: the flag that names it, or nothing for an argument.
        path: where it is, or None where the flag was not given.
        what: what is wanted there, in words.
        folders: whether it may be a folder.

    Raises:
        UsageError: there is nothing, or a folder where a file is wanted.
    """
    if path is None:
        return
    if not path.exists():
        raise UsageError(f"{_shown(flag, path)} does not exist: name {what}")
    if path.is_dir() and not folders:
        raise UsageError(f"{_shown(flag, path)} is a folder: name {what}")


def check_new(written: Mapping[str, Path | None], *, overwrite: bool, read: Sequence[Path | None] = ()) -> None:
    """Checks that the files that a command writes at its end can be written then, and that nothing is lost by it.

    Args:
        written: the files by the flags that name them, None where a flag was not given. The flag of an argument is
            empty.
        overwrite: whether files that are there may be replaced.
        read: files that the command reads, which it never replaces.

    Raises:
        UsageError: a file cannot be written, has the ending of another format, is there, is read, or is named by two
            flags.
    """
    sources = [path.resolve() for path in read if path is not None]
    places: dict[Path, str] = {}
    for flag, path in written.items():
        if path is None:
            continue
        shown, place = _shown(flag, path), path.resolve()
        if path.is_dir():
            raise UsageError(f"{shown} is a folder: name a file")
        check_ending(flag, path)
        _check_parent(shown, path.absolute())
        if place in sources:
            raise UsageError(f"{shown} is read by this command: name another file")
        if path.is_file() and not overwrite:  # what is no file, such as /dev/stdout, loses nothing
            raise UsageError(f"{shown} exists: name another file, or give --overwrite")
        if place in places and (path.is_file() or not path.exists()):
            raise UsageError(f"{shown} is named by {places[place]}, too: name another file")
        places[place] = flag


def check_ending(flag: str, path: Path | None, ending: str | None = None) -> None:
    """Checks that a file does not have the ending of another format than is written. It may have none.

    Args:
        flag: the flag that names it.
        path: where it will be, or None where the flag was not given.
        ending: what it may end in; without it, what `ENDINGS` has for the flag.

    Raises:
        UsageError: it has another ending.
    """
    ending = ending or ENDINGS.get(flag)
    if path is not None and ending is not None and path.suffix.lower() not in ("", ending):
        raise UsageError(f"{_shown(flag, path)} must end in {ending}, because that is what is written")


def check_new_folder(
    flag: str, folder: Path, *, overwrite: bool, read: Sequence[Path] = (), names: Sequence[str] = ()
) -> None:
    """Checks that a folder can become one of partitions. See `make_way`, too.

    Args:
        flag: the flag that names it.
        folder: where it is.
        overwrite: whether partitions in it may be replaced.
        read: files and folders that the command reads, which it never replaces.
        names: what partitions are called beside 1.safetensors and so on.

    Raises:
        UsageError: it cannot, or what is in it would be lost.
    """
    shown, place = _shown(flag, folder), folder.resolve()
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{shown} is a file: name a folder")
    _check_parent(shown, place)
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if any(place == source.resolve() or place in source.resolve().parents for source in read):
        raise UsageError(f"{shown} holds what is read: name another folder")
    if strangers := sorted(path.name for path in folder.iterdir() if not _is_partition(path, names)):
        raise UsageError(f"{shown} holds something other than partitions ({printable(strangers[0])}): name another")
    if not overwrite:
        raise UsageError(f"{shown} holds partitions, which would mix with these: name another, or give --overwrite")


def make_way(folder: Path, names: Sequence[str] = ()) -> None:
    """Removes the partitions in a folder that `check_new_folder` has let pass, given the same names."""
    for path in list(folder.iterdir()) if folder.is_dir() else []:
        if _is_partition(path, names):
            path.unlink()


def _is_partition(path: Path, names: Sequence[str]) -> bool:
    return (path.name in names or bool(PARTITION.fullmatch(path.name))) and path.is_file() and not path.is_symlink()


def _check_parent(shown: str, path: Path) -> None:
    if not path.parent.is_dir():
        raise UsageError(f"{shown} would be in a folder that does not exist: make it, or name another")


def _shown(flag: str, path: Path) -> str:
    return f"{flag} {printable(path)}".strip()
