"""Which arrays are images, photometry and redshifts.

The flags say so, or guesses from names and shapes do, which are refused if there are several.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lambda_image.data.file_content import Column
from lambda_image.errors import UsageError
from scripts.importing.bands import PLACE, Template, letter, resolve, templates
from scripts.importing.contents import TEXT, Contents, is_number, last_name
from scripts.importing.wanted import PUBLISHED, Wanted

NONE = "none"  # as the value of a flag
IMAGE_NAMES = ("images", "image", "image_array", "image_flux", "image.flux", "image.array", "cutouts", "stamps")
MAGNITUDE_NAMES = ("magnitudes", "mags", "magnitude", "mag", "photometry")
FLUX_NAMES = ("fluxes", "flux")
REDSHIFT_NAMES = (
    *("redshift", "redshifts", "z_spec", "zspec", "spec_z", "specz", "z_sp", "zsp", "z_true", "redshift_true"),
    *("true_redshift", "redshift_spec", "spectroscopic_redshift", "zbest", "z_best", "zredshift", "z"),
)
# Words in the names of what stands beside images, magnitudes and fluxes.
_BESIDE = re.compile(
    r"ivar|invvar|inv_var|weight|(?<!co)var(?![a-z])|err|sigma|noise|mask|psf|seeing|model_image|resid|segm|flag|rgb"
    r"|extinction|ebv|transmission|nobs|size|depth|fiber|frac|shape|unc|snr|^e_|_e$|^a_|scale|extendedness|aper",
    re.IGNORECASE,
)
_MAGNITUDE = re.compile(r"mag(?!g)|dered", re.IGNORECASE)
_FLUX = re.compile(r"flux|maggies|nmgy", re.IGNORECASE)


@dataclass(frozen=True)
class Choice:
    """Arrays that were chosen for one purpose.

    Attributes:
        label: Their name, with `{band}` where there is one for each band.
        names: One array of all bands, or an array per band in the model's order.
        guessed: Whether no flag named them.
    """

    label: str
    names: tuple[str, ...]
    guessed: bool

    @property
    def per_band(self) -> bool:
        """Whether each band has an array of its own."""
        return PLACE in self.label


def find(contents: Contents, name: str, flag: str) -> str:
    """The array that a flag names: exactly, without regard to case, or without the table or group that it lies in.

    Raises:
        UsageError: there is none or there are several. The message lists what was found with shapes.
    """
    for same in (
        [array for array in contents.arrays if array == name],
        [array for array in contents.arrays if array.lower() == name.lower()],
        [array for array in contents.arrays if last_name(array) == name.lower()],
    ):
        if len(same) == 1:
            return same[0]
        if same:
            raise UsageError(f"{flag} {name} could be {contents.listed(same)}: give the whole name")
    raise UsageError(f"{flag} {name}: {contents.name} has no such array; found: {contents.listed()}")


def choose_images(contents: Contents, given: str | None, wanted: Wanted = PUBLISHED) -> Choice:
    """The arrays of the images: [N, bands, rows, columns], bands last, or an array [N, rows, columns] per band.

    Raises:
        UsageError: nothing can be images, or several arrays can.
    """
    if given is not None and PLACE in given:
        names = resolve(given, list(contents.arrays), "--images", contents.listed(), wanted)
        return _per_band(contents, given, names, 3, "--images", wanted, guessed=False)
    if given is not None:
        name = find(contents, given, "--images")
        _check_dimensions(contents, name, 4, "--images")
        return Choice(name, (name,), guessed=False)
    numbers = [name for name, column in contents.arrays.items() if is_number(column.dtype) and not _BESIDE.search(name)]
    whole = [name for name in numbers if len(contents.arrays[name].shape) == 4]
    if len(whole) > 1:  # one with a name that says so comes before others
        whole = [name for name in whole if _is_named(name, IMAGE_NAMES)] or whole
    if len(whole) == 1:
        return Choice(whole[0], tuple(whole), guessed=True)
    if whole:
        raise UsageError(f"the images of {contents.name} could be {contents.listed(whole)}: name them with --images")
    by_band = _best(templates((name for name in numbers if len(contents.arrays[name].shape) == 3), wanted), wanted)
    if len(by_band) == 1:
        return _per_band(contents, by_band[0].name, by_band[0].names, 3, "--images", wanted, guessed=True)
    found = contents.listed()
    if by_band:
        found = ", ".join(template.name for template in by_band)
    raise UsageError(
        f"{contents.name} holds no array that is clearly the images, [N, bands, rows, columns]: name it, or the file "
        f"that has them, with --images; found: {found}"
    )


def choose_photometry(
    contents: Contents, magnitudes: str | None, fluxes: str | None, wanted: Wanted = PUBLISHED
) -> tuple[Choice, bool]:
    """The magnitudes or the fluxes, and whether it is fluxes: an array [N, bands], or an array [N] per band.

    Raises:
        UsageError: nothing can be either, or several arrays can.
    """
    if magnitudes is not None and fluxes is not None:
        raise UsageError("--magnitudes and --fluxes are both given: magnitudes come from one of them")
    for given, flag in ((magnitudes, "--magnitudes"), (fluxes, "--fluxes")):
        if given is not None:
            return _named_photometry(contents, given, flag, wanted), flag == "--fluxes"
    for names, pattern, is_flux in ((MAGNITUDE_NAMES, _MAGNITUDE, False), (FLUX_NAMES, _FLUX, True)):
        if choice := _guessed_photometry(contents, names, pattern, is_flux, wanted):
            return choice, is_flux
    raise UsageError(
        f"{contents.name} holds no magnitudes or fluxes that can be told by their names: name them with --magnitudes "
        f"or --fluxes, as in --magnitudes 'dered_{PLACE}'; found: {contents.listed()}"
    )


def _named_photometry(contents: Contents, given: str, flag: str, wanted: Wanted) -> Choice:
    if PLACE in given:
        names = resolve(given, list(contents.arrays), flag, contents.listed(), wanted)
        return _per_band(contents, given, names, 1, flag, wanted, guessed=False)
    name = find(contents, given, flag)
    _check_dimensions(contents, name, 2, flag)
    return Choice(name, (name,), guessed=False)


def _guessed_photometry(
    contents: Contents, names: Sequence[str], pattern: re.Pattern[str], is_flux: bool, wanted: Wanted
) -> Choice | None:
    flag = "--fluxes" if is_flux else "--magnitudes"
    numbers = [
        name
        for name, column in contents.arrays.items()
        if is_number(column.dtype) and not _BESIDE.search(last_name(name))
    ]
    whole = [name for name in numbers if len(contents.arrays[name].shape) == 2 and _is_named(name, names)]
    by_band = _best(
        (
            template
            for template in templates((name for name in numbers if _is_column(contents.arrays[name])), wanted)
            if pattern.search(template.name) or (not is_flux and last_name(template.name) == PLACE)
        ),
        wanted,
    )
    candidates = [*whole, *(template.name for template in by_band)]
    if len(candidates) > 1:
        listed = ", ".join([contents.listed(whole)] * bool(whole) + [template.name for template in by_band])
        what = "fluxes" if is_flux else "magnitudes"
        raise UsageError(f"the {what} of {contents.name} could be {listed}: name them with {flag}")
    if whole:
        return Choice(whole[0], (whole[0],), guessed=True)
    if by_band:
        return _per_band(contents, by_band[0].name, by_band[0].names, 1, flag, wanted, guessed=True)
    return None


def choose_redshifts(contents: Contents, given: str | None, taken: Iterable[str]) -> Choice | None:
    """The true redshifts, or None where there are none.

    Raises:
        UsageError: the flag names no column of numbers, or several could be meant.
    """
    if given == NONE:
        return None
    if given is not None:
        name = find(contents, given, "--redshifts")
        _check_dimensions(contents, name, 1, "--redshifts")
        return Choice(name, (name,), guessed=False)
    taken = set(taken)
    found = [
        name
        for name, column in contents.arrays.items()
        if name not in taken and is_number(column.dtype) and _is_column(column) and _is_named(name, REDSHIFT_NAMES)
    ]
    if len(found) > 1:
        found = [name for name in found if _is_named(name, ("redshift", "redshifts"))] or found
    if len(found) > 1:
        listed = contents.listed(found)
        raise UsageError(f"the redshifts of {contents.name} could be {listed}: name them with --redshifts, or none")
    return Choice(found[0], (found[0],), guessed=True) if found else None


def texts_named_redshifts(contents: Contents) -> list[str]:
    """Columns with a name of true redshifts that are text, because some of their values are no numbers."""
    return [
        name
        for name, column in contents.arrays.items()
        if column.dtype == TEXT and _is_column(column) and _is_named(name, REDSHIFT_NAMES)
    ]


def beside(contents: Contents, choice: Choice, words: Sequence[str], shapes: Iterable[tuple[int, ...]]) -> str | None:
    """The array that stands beside the chosen one and has one of these words in its name, if there is exactly one."""
    allowed = set(shapes)
    stem = re.sub(r"(array|flux|images?|data|s)$", "", last_name(choice.label), flags=re.IGNORECASE).strip("_. ")
    found = [
        name
        for name, column in contents.arrays.items()
        if column.shape in allowed
        and name not in choice.names
        and any(word in name.lower() for word in words)
        and not re.search(r"psf|model|catalog", name.lower())
    ]
    if len(found) > 1 and stem:
        found = [name for name in found if last_name(name).startswith(stem)] or found
    return found[0] if len(found) == 1 else None


def bands_beside(contents: Contents, choice: Choice) -> str | None:
    """The array that names the bands of the chosen one: `image_band`, `image.band`, or `bands` alone."""
    label = choice.label.lower()
    stems = {label, label.rstrip("s"), re.sub(r"[._]?(array|flux)$", "", label)}
    names = {
        f"{stem}{mark}{word}" for stem in stems for mark in "._" for word in ("band", "bands", "filter", "filters")
    }
    for wanted in (names, {"bands", "band", "filters"}):
        for name, column in contents.arrays.items():
            if (
                column.dtype == TEXT
                and (name.lower() in wanted or last_name(name) in wanted)
                and len(column.shape) <= 2
            ):
                return name
    return None


def _best(found: Iterable[Template], wanted: Wanted) -> list[Template]:
    """Those with all bands of the model, or all where none has."""
    found = list(found)
    return [template for template in found if template.complete(wanted)] or found


def _per_band(
    contents: Contents, label: str, names: dict[str, str], dimensions: int, flag: str, wanted: Wanted, *, guessed: bool
) -> Choice:
    template = Template(label, {letter(band): name for band, name in names.items()})
    if not template.complete(wanted):
        missing = {label.replace(PLACE, band).lower() for band in wanted.bands if band not in template.names}
        others = [name for name in contents.arrays if name.lower() in missing]
        found = ", ".join([*template.names.values(), *([contents.listed(others)] if others else [])])
        raise UsageError(f"{flag}: {label} is not there for all bands {wanted.in_words} as numbers; found: {found}")
    chosen = tuple(template.names[band] for band in wanted.bands)
    for name in chosen:
        _check_dimensions(contents, name, dimensions, flag)
    return Choice(label, chosen, guessed)


def _check_dimensions(contents: Contents, name: str, dimensions: int, flag: str) -> None:
    column = contents.arrays[name]
    fits = len(column.shape) == dimensions or (dimensions == 1 and column.shape[1:] == (1,))
    if not fits or not is_number(column.dtype):
        needed = {1: "[N]", 2: "[N, bands]", 3: "[N, rows, columns]", 4: "[N, bands, rows, columns]"}[dimensions]
        raise UsageError(f"{flag} {name}: numbers {needed} are needed, and it is {contents.listed([name])}")


def _is_column(column: Column) -> bool:
    return len(column.shape) == 1 or column.shape[1:] == (1,)


def _is_named(name: str, names: Sequence[str]) -> bool:
    return name.lower() in names or last_name(name) in names
