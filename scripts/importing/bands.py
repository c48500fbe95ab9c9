"""Bands by their names. Nothing is taken by its position: the order in a file is read from it, or given by a flag."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lambda_image.errors import UsageError
from scripts.importing.wanted import PUBLISHED, Wanted

PLACE = "{band}"  # in a name that stands for one array per band
# What surveys and instruments put before the letter of a filter: DES-G, sdss_u, HSC-R, decam.z, CFHT_MegaCam.i.
_PREFIX = re.compile(r"^(?:[a-z0-9]*[a-z][a-z0-9]*[-_.:/ ]+)+(?=[a-z][0-9]?$)")
_SUFFIX = re.compile(r"(?:[-_ ]?(?:band|filter|sdss|prime)|'|_?p)$")


def letter(name: str) -> str:
    """A band's name without case and without the survey or instrument: `DES-G` is `g`."""
    plain = name.strip().lower()
    plain = _PREFIX.sub("", plain)
    return _SUFFIX.sub("", plain) if len(plain) > 1 else plain


def places_of(found: Sequence[str], what: str, wanted: Wanted = PUBLISHED) -> list[int]:
    """Where the model's bands are among the bands that were found.

    Args:
        found: Names of bands along an axis, in their order.
        what: What has them, for the message.
        wanted: What the model takes.

    Returns:
        The place of each of the model's bands.

    Raises:
        UsageError: one is missing or there twice. The message names the bands that were found.
    """
    letters = [letter(name) for name in found]
    there = ", ".join(found) or "none"
    if missing := [band for band in wanted.bands if band not in letters]:
        raise UsageError(f"{what} lacks the {_named(missing)}; found: {there}")
    if twice := [band for band in wanted.bands if letters.count(band) > 1]:
        raise UsageError(f"{what} has the {_named(twice)} more than once; found: {there}")
    return [letters.index(band) for band in wanted.bands]


def _named(bands: Sequence[str]) -> str:
    return f"band {bands[0]}" if len(bands) == 1 else f"bands {', '.join(bands)}"


class Template(NamedTuple):
    """Arrays whose names differ in the band only.

    Attributes:
        name: The name with `{band}` in the band's place.
        names: The array of each band that there is, by the band's letter.
    """

    name: str
    names: dict[str, str]

    def complete(self, wanted: Wanted) -> bool:
        """Whether it has all bands of the model."""
        return all(band in self.names for band in wanted.bands)


def templates(names: Iterable[str], wanted: Wanted = PUBLISHED) -> list[Template]:
    """Finds the names that are there once for each of several bands.

    Args:
        names: Names of arrays.
        wanted: What the model takes.

    Returns:
        Templates with at least two bands of the model, in the order of the names.
    """
    groups: dict[str, Template] = {}
    alone, before, behind = wanted.patterns
    for name in names:
        stem = max(name.rfind("."), name.rfind("/")) + 1  # a band is looked for in the last part of a name
        spans = [match.span(1) for match in alone.finditer(name, stem)]
        glued = (pattern.search(name[stem:]) for pattern in (before, behind))
        spans += [(stem + found.start(1), stem + found.end(1)) for found in glued if found]
        for start, end in spans:
            template = f"{name[:start]}{PLACE}{name[end:]}"
            group = groups.setdefault(template.lower(), Template(template, {}))
            group.names.setdefault(name[start:end].lower(), name)
    return [group for group in groups.values() if len(group.names) > 1]


def resolve(template: str, names: Sequence[str], flag: str, listed: str, wanted: Wanted = PUBLISHED) -> dict[str, str]:
    """The arrays that a user's template names, by the letters of the model's bands.

    Args:
        template: A name with `{band}`, in which case does not matter.
        names: Names of the arrays that there are.
        flag: The flag that gave it.
        listed: What there is, for the message.
        wanted: What the model takes.

    Raises:
        UsageError: the array of a band is missing.
    """
    head, _, tail = template.partition(PLACE)
    pattern = re.compile(rf"{re.escape(head)}([A-Za-z][\w. -]*?){re.escape(tail)}", re.IGNORECASE)
    found: dict[str, str] = {}
    for name in names:
        if match := pattern.fullmatch(name):
            found.setdefault(letter(match[1]), name)
    if missing := [band for band in wanted.bands if band not in found]:
        there = ", ".join(found.values()) or f"none of that form among {listed}"
        raise UsageError(f"{flag} {template}: there is none for the {_named(missing)}; found: {there}")
    return {band: found[band] for band in wanted.bands}
