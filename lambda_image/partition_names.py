"""Which names are partitions, and in what order these follow one another. No I/O.

One rule holds for objects on S3 and for files of a folder. A partition lies directly under the prefix or in the folder.
Its name has one of three endings and does not begin with a dot, as the names of files do that macOS adds to a copy.
Folders are not entered, since results of earlier runs may lie in them. What is left out is counted, and a warning says
so.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lambda_image.errors import InvalidEvent

PARTITION_SUFFIXES = (".pt", ".pth", ".safetensors")
NAMED = 5  # in a warning; what else there is of a kind is counted
UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}  # control characters, what UTF-8 cannot encode, and separators of lines


@dataclass(frozen=True)
class Selection:
    """What lies directly in one place, told apart by names alone."""

    partitions: list[str] = field(default_factory=list)  # in natural order
    hidden: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def warnings(self, place: str) -> list[str]:
        """Says in one sentence what is not read of `place`, or in none where everything is."""
        kinds = [
            _counted(self.hidden, "hidden file", "hidden files"),
            _counted(self.folders, "folder", "folders"),
            _counted(self.others, "file of another kind", "files of another kind"),
        ]
        if not (found := [kind for kind in kinds if kind]):
            return []
        several = len(self.hidden) + len(self.folders) + len(self.others) > 1
        return [f"{_listed(found)} in {place} {'are' if several else 'is'} not read"]


def select(names: Iterable[str]) -> Selection:
    """Tells partitions from what lies beside them.

    Args:
        names: The names in one place. That of a folder ends in a slash.

    Returns:
        The names by kind.

    Raises:
        InvalidEvent: The name of a partition cannot be shown on one line. The message tells how to go on.
    """
    found = Selection()
    for name in names:
        if name.endswith("/"):
            found.folders.append(name)
        elif name.startswith("."):
            found.hidden.append(name)
        elif name.lower().endswith(PARTITION_SUFFIXES):
            found.partitions.append(check_name(name))
        else:
            found.others.append(name)
    found.partitions.sort(key=natural_order)
    return found


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Gives a sort key by which 2.pt comes before 10.pt.

    The published system took partitions in the order of S3, which is by characters (1, 10, 100, 101, 2). With a limit
    of 11 files it therefore read others than the first eleven numbers.

    Args:
        name: A key, or the name of a file.

    Returns:
        What `sorted` compares.
    """
    parts = re.split(r"(\d+)", name)
    return [(1, int(part), part) if part.isdecimal() else (0, 0, part) for part in parts]


def gap(names: Sequence[str]) -> str | None:
    """Finds numbers that are missing in a series of names.

    Names are a series where they differ in one number only, and where most of the numbers from the least to the
    greatest are there.

    Args:
        names: The names of partitions.

    Returns:
        Which numbers are missing, in words, or None.
    """
    columns = _columns([re.split(r"(\d+)", name) for name in names])
    differing = [place for place, column in enumerate(columns) if len(set(column)) > 1]
    if len(differing) != 1 or differing[0] % 2 == 0:  # not in a number
        return None
    numbers = {int(number) for number in columns[differing[0]]}
    least, most = min(numbers), max(numbers)
    expected = most - least + 1
    if not expected / 2 < len(numbers) < expected:
        return None
    missing = sorted(set(range(least, most)) - numbers)
    words = [str(number) for number in missing[:NAMED]]
    if len(missing) > NAMED:
        words.append(f"{len(missing) - NAMED:,} more")
    return f"{_listed(words)} {'is' if len(missing) == 1 else 'are'} missing between {least} and {most}"


def check_name(name: str) -> str:
    """Returns a name or key that can be shown on one line.

    Raises:
        InvalidEvent: The name has a control character, or is not text that UTF-8 can encode.
    """
    if (shown := printable(name)) != name:
        raise InvalidEvent(f"the name '{shown}' has a control character or is not UTF-8: rename it")
    return name


def printable(text: object) -> str:
    """Escapes what would break a line of output.

    Args:
        text: Anything, such as a path.

    Returns:
        The text, with control characters, separators of lines and what UTF-8 cannot encode as Python escapes them.
    """
    return "".join(
        repr(character)[1:-1] if unicodedata.category(character) in UNPRINTABLE else character
        for character in str(text)
    )


def _counted(names: Sequence[str], one: str, many: str) -> str:
    if not names:
        return ""
    shown = ", ".join(map(printable, names[:NAMED])) + (", ..." if len(names) > NAMED else "")
    return f"{len(names):,} {one if len(names) == 1 else many} ({shown})"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _columns(rows: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """The columns of rows of one length; none where lengths differ."""
    return list(zip(*rows, strict=True)) if len({len(row) for row in rows}) == 1 else []
