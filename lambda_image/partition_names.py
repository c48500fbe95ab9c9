"""Which names are partitions, and in what order these follow one another. No I/O.

One rule holds for objects on S3 and for files of a folder. A partition lies directly under the prefix or in the folder.
Its name has one of three endings and does not begin with a dot, as the names of files do that macOS adds to a copy.
Folders are not entered, since results of earlier runs may lie in them. What is left out is counted, and a warning says
so.
"""

import itertools
import re
import unicodedata
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lambda_image.errors import InvalidEvent

PARTITION_SUFFIXES = (".pt", ".pth", ".safetensors")
DIGITS, LONGEST = re.compile(r"(\d+)"), 19  # digits of a number that fits into 8 bytes
END, FIRST_COUNT = "\0", 2  # of the pieces of a sort key; a count is never the character that ends them
NAMED = 5  # in a warning; what else there is of a kind is counted
UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}  # control characters, what UTF-8 cannot encode, and separators of lines


@dataclass(frozen=True)
class Selection:
    """What lies directly in one place, told apart by names alone."""

    partitions: list[str] = field(default_factory=list)  # in natural order
    hidden: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def is_partition(self, name: str) -> bool:
        """Tells whether a name is that of a partition, and puts one that is not among its kind.

        Raises:
            InvalidEvent: The name of a partition cannot be shown on one line. The message tells how to go on.
        """
        if name.endswith("/"):
            self.folders.append(name)
        elif name.startswith("."):
            self.hidden.append(name)
        elif name.lower().endswith(PARTITION_SUFFIXES):
            check_name(name)
            return True
        else:
            self.others.append(name)
        return False

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
    found.partitions.extend(name for name in names if found.is_partition(name))
    found.partitions.sort(key=natural_order)
    return found


def natural_order(name: str) -> str:
    """Gives a sort key by which 2.pt comes before 10.pt.

    The published system took partitions in the order of S3, which is by characters (1, 10, 100, 101, 2). With a limit
    of 11 files it therefore read others than the first eleven numbers.

    The key is one text, because a million keys of several objects each would not fit into the memory of Init. A number
    begins with the count of its digits, so that texts order numbers by value. Of two that are equal, the one with more
    zeros before it comes first. NUL ends each piece, because no name has one.

    Args:
        name: A key, or the name of a file.

    Returns:
        What `sorted` compares. `name_in_order` gives the name back.
    """
    pieces = DIGITS.split(name)
    for place in range(1, len(pieces), 2):
        part = pieces[place]
        digits = part.lstrip("0") if part.isascii() else str(int(part))
        pieces[place] = f"{chr(FIRST_COUNT + len(digits))}{digits}{part}"
    return END.join(pieces)


def name_in_order(order: str) -> str:
    """Gives the name whose sort key `natural_order` gave."""
    pieces = order.split(END)
    for place in range(1, len(pieces), 2):
        number = pieces[place]
        pieces[place] = number[1 + ord(number[0]) - FIRST_COUNT :]
    return "".join(pieces)


def gap(names: Iterable[str]) -> str | None:
    """Finds numbers that are missing in a series of names.

    Names are a series where they differ in one number only, and where most of the numbers from the least to the
    greatest are there.

    Args:
        names: The names of partitions.

    Returns:
        Which numbers are missing, in words, or None.
    """
    if not (numbers := _series(names)):
        return None
    least, most = min(numbers), max(numbers)
    expected = most - least + 1
    if not expected / 2 < len(numbers):
        return None
    there = bytearray(expected)
    for number in numbers:
        there[number - least] = 1
    absent = there.count(0)
    if not absent or absent >= expected / 2:
        return None
    missing = list(itertools.islice((least + at for at, found in enumerate(there) if not found), NAMED))
    words = [str(number) for number in missing]
    if absent > NAMED:
        words.append(f"{absent - NAMED:,} more")
    return f"{_listed(words)} {'is' if absent == 1 else 'are'} missing between {least} and {most}"


def check_name(name: str) -> str:
    """Returns a name or key that can be shown on one line.

    Raises:
        InvalidEvent: The name has a control character, or is not text that UTF-8 can encode.
    """
    if name.isascii() and name.isprintable():  # as a million are; the rest of this takes longer
        return name
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


def _series(names: Iterable[str]) -> Sequence[int]:
    """The numbers in which alone the names differ; none where they differ otherwise, or in very long numbers."""
    each = iter(names)
    first, second = (DIGITS.split(name) for name in (next(each, ""), next(each, "")))
    differing = [place for place, (one, other) in enumerate(zip(first, second, strict=False)) if one != other]
    if len(first) != len(second) or len(differing) != 1 or (place := differing[0]) % 2 == 0:  # not in a number
        return ()
    before, after = "".join(first[:place]), "".join(first[place + 1 :])
    numbers = array("q", [])
    for name in itertools.chain(("".join(first), "".join(second)), each):
        number = name[len(before) : len(name) - len(after)]
        if not (name.startswith(before) and name.endswith(after) and number.isdecimal() and len(number) < LONGEST):
            return ()
        numbers.append(int(number))
    return numbers
