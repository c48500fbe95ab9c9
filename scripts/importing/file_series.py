"""Files that are alike and follow one another, as one. What one of them says of its arrays holds for no other."""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from lambda_image.data.file_content import Column
from lambda_image.errors import PartitionMalformed
from scripts.importing.bands import letter
from scripts.importing.contents import NOTHING, TEXT, Contents, as_texts, described, is_readable, joined

BANDS = re.compile(r"(band|filter)s?$", re.IGNORECASE)  # ends the name of an array that may name bands
SCALE_TOLERANCE = 0.01  # of a scale of pixels, up to which another one is the same


class FileSeries:
    """Gives the content of all files. Few are open at a time, since there may be thousands."""

    OPEN = 2  # files: the one that is read, and the next

    def __init__(self, paths: Sequence[Path], open_file: Callable[[Path], Contents]) -> None:
        self._paths, self._open_file = paths, open_file
        self._open: dict[int, Contents] = {}

    def contents(self, name: str) -> Contents:
        """What all of them hold. The first says what there is, and the others must have it in the same shape and bands.

        Raises:
            PartitionMalformed: files differ. The message names the first that does.
        """
        first = self._at(0)
        once = _once(first)
        lengths: dict[str, list[int]] = {array: [] for array in first.arrays}
        dtypes = {array: {column.dtype: None} for array, column in first.arrays.items()}
        units: dict[str, dict[str | None, None]] = {}
        scales: dict[str, Path] = {}
        silent = dict[str, Path]()  # about the bands of these arrays: the first such file
        named = set[str]()  # arrays of which a file names the bands
        for index, path in enumerate(self._paths):
            contents = self._at(index)
            for array, column in first.arrays.items():
                theirs = contents.arrays.get(array)
                if theirs is None or theirs.shape[1:] != column.shape[1:]:
                    told = described(array, theirs) if theirs is not None else f"no {array}"
                    raise self._differing(path, told, described(array, column))
                lengths[array].append(theirs.shape[0])
                dtypes[array][theirs.dtype] = None
                bands, known = contents.bands.get(array), first.bands.get(array)
                if bands and known and _letters(bands) != _letters(known):
                    raise self._differing(path, f"the bands {', '.join(bands)} in {array}", ", ".join(known))
                if bands:
                    named.add(array)
                else:
                    silent.setdefault(array, path)
                if array in once and _letters(words := _texts(theirs)) != _letters(once[array]):
                    raise self._differing(path, f"{', '.join(words)} in {array}", ", ".join(once[array]))
                if (unit := contents.units.get(array)) != first.units.get(array):
                    units.setdefault(array, {})[unit] = None
                scale, usual = contents.pixel_scales.get(array), first.pixel_scales.get(array)
                if scale is not None and usual is not None and abs(scale / usual - 1) > SCALE_TOLERANCE:
                    scales.setdefault(array, path)
        return Contents(
            name,
            f"{len(self._paths):,} files of {first.kind}",
            {
                array: _held(once[array]) if array in once else self._joined(array, column, lengths, dtypes)
                for array, column in first.arrays.items()
            },
            {array: names for array, names in first.bands.items() if array not in silent},
            first.units,
            first.pixel_scales,
            {array: tuple(others) for array, others in units.items()},
            scales,
            {array: path for array, path in silent.items() if array in named},
            ends=np.cumsum(max(lengths.values(), key=sum, default=[0])),
        )

    def _differing(self, path: Path, told: str, known: str) -> PartitionMalformed:
        problem = f"{path} has {told}, and {self._paths[0]} has {known}"
        return PartitionMalformed(f"{problem}: import them one by one", object=str(path))

    def _joined(
        self, array: str, column: Column, lengths: dict[str, list[int]], dtypes: dict[str, dict[str, None]]
    ) -> Column:
        typed = column._replace(dtype=_common(dtypes[array]))
        return joined(typed, lengths[array], lambda index: self._at(index).arrays[array])

    def _at(self, index: int) -> Contents:
        if index not in self._open:
            while len(self._open) >= self.OPEN:
                self._open.pop(next(iter(self._open)))
            self._open[index] = self._open_file(self._paths[index])
        return self._open[index]


def _once(contents: Contents) -> dict[str, list[str]]:
    """The names of bands that a file has once for all of its galaxies, by the array that they lie in.

    They differ, and an array has an axis of as many. A column of a table has a name for each row instead.
    """
    axes = {length for column in contents.arrays.values() for length in column.shape[1:]}
    found = {
        array: _texts(column)
        for array, column in contents.arrays.items()
        if column.dtype == TEXT and len(column.shape) == 1 and column.shape[0] in axes and BANDS.search(array)
    }
    return {array: names for array, names in found.items() if len(set(names)) == len(names)}


def _letters(names: Iterable[str]) -> list[str]:
    return [letter(name) for name in names]


def _texts(column: Column) -> list[str]:
    return as_texts(column.read(0, column.shape[0]))


def _held(texts: list[str]) -> Column:
    values = np.char.encode(np.array(texts, np.str_), "utf-8")
    return Column(TEXT, values.shape, lambda start, stop: values[start:stop])


def _common(dtypes: Iterable[str]) -> str:
    """The type of what files have in types of their own: one that nothing can be read from, or text, or numbers."""
    found = [dtype for dtype in dtypes if dtype != NOTHING] or [NOTHING]
    if strange := [dtype for dtype in found if not is_readable(dtype)]:
        return strange[0]
    if TEXT in found or len(found) == 1 or "bfloat16" in found:
        return TEXT if TEXT in found else found[0]
    return np.result_type(*found).name
