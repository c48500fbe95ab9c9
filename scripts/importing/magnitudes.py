"""Magnitudes of galaxies as the model takes them, from columns of magnitudes or fluxes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lambda_image.data.quality import MAGNITUDES, NOT_DETECTED, NOT_OBSERVED
from lambda_image.errors import UsageError
from scripts.importing.bands import PLACE, places_of, resolve
from scripts.importing.choosing import bands_beside, choose_photometry, find
from scripts.importing.contents import Array, Contents, as_numbers, as_texts
from scripts.importing.photometry import System, converted, magnitudes_of, meant, not_observed, spelled, zero_point
from scripts.importing.wanted import PUBLISHED, Wanted

SAMPLE_ROWS = 256
PLACEHOLDERS = (NOT_DETECTED, NOT_OBSERVED, -9999, -999, 999, 9999)  # which say nothing of what a column holds


@dataclass(frozen=True)
class PhotometryFlags:
    """What the flags say of magnitudes.

    Attributes:
        magnitudes: The array of magnitudes, or a template with `{band}`; None guesses.
        fluxes: The array of fluxes, or a template, from which magnitudes are made.
        unit: The unit of the fluxes; None takes what the file says.
        system: The system that magnitudes are written in.
        given_system: The system that magnitudes are given in; None for the same.
        extinction: Template or array of magnitudes of Galactic extinction, which are subtracted.
        transmission: Template or array of Galactic transmissions, by which fluxes are divided.
        bands: Names of bands in their order, where the file does not name them.
        wanted: What the model takes.
    """

    magnitudes: str | None = None
    fluxes: str | None = None
    unit: str | None = None
    system: System = "AB"
    given_system: System | None = None
    extinction: str | None = None
    transmission: str | None = None
    bands: tuple[str, ...] | None = None
    wanted: Wanted = PUBLISHED


class Photometry:
    """Gives magnitudes by rows.

    Attributes:
        choice: The arrays that they come from.
        used: All arrays that have a part in them.
        described: What they are, in words.
        notes: More about them, a clause each.
    """

    def __init__(self, contents: Contents, flags: PhotometryFlags, image_bands: tuple[str, ...] | None) -> None:
        """Chooses the arrays.

        Args:
            contents: What holds them.
            flags: What the user says.
            image_bands: The bands of the images in their order, where these are in one array.

        Raises:
            UsageError: no magnitudes or several were found, or they are none by their values.
        """
        self._contents, self._flags = contents, flags
        self.choice, self._is_flux = choose_photometry(contents, flags.magnitudes, flags.fluxes, flags.wanted)
        self.used = list(self.choice.names)
        self.rows = contents.arrays[self.choice.names[0]].shape[0]
        self.notes: list[str] = []
        self._places = self._places_of_bands(image_bands)
        self._unit = self._choose_unit()
        self._corrections = [
            (self._arrays(given, flag), flag) for given, flag in self._given_corrections() if given is not None
        ]
        self._ivar = self._ivar_of_fluxes()
        first = contents.arrays[self.choice.names[0]]
        self.described = f"{self.choice.label} {first.dtype} {list(first.shape)}"
        if not self._is_flux:
            self._check_values()

    def _given_corrections(self) -> list[tuple[str | None, str]]:
        if self._flags.transmission is not None and not self._is_flux:
            raise UsageError("--transmission divides fluxes: give --extinction for magnitudes")
        return [(self._flags.extinction, "--extinction"), (self._flags.transmission, "--transmission")]

    def _places_of_bands(self, image_bands: tuple[str, ...] | None) -> list[int] | None:
        """The model's bands in an array of all; None where each band has an array."""
        if self.choice.per_band:
            self.notes.append(f"bands {self._flags.wanted.in_words} by their names")
            return None
        name, contents = self.choice.names[0], self._contents
        count = contents.arrays[name].shape[1]
        beside_name = bands_beside(contents, self.choice)
        column = contents.arrays[beside_name] if beside_name is not None else None
        if self._flags.bands is not None and len(self._flags.bands) == count:
            found, source = self._flags.bands, "by --bands"
        elif name in contents.bands:
            found, source = contents.bands[name], "by the file"
        elif column is not None and column.shape == (count,):
            found, source = tuple(as_texts(column.read(0, count))), f"by {beside_name}"
        elif image_bands is not None and len(image_bands) == count:
            found, source = image_bands, "as in the images"
        elif known := self._flags.bands or image_bands:
            told = f"{contents.listed([name])} of {contents.name} has {count} magnitudes of a galaxy"
            raise UsageError(f"{told}, and the bands are {len(known)} ({', '.join(known)}): name another array")
        else:
            raise contents.without_bands(name, self._flags.wanted.bands_flag)
        self.notes.append(f"bands {', '.join(found)} {source}")
        return places_of(found, f"{name} of {contents.name}", self._flags.wanted)

    def _choose_unit(self) -> str:
        told = self._contents.units_of(self.choice.names)
        if not self._is_flux:
            if flux := next((unit for unit in told if unit is not None and spelled(unit) is not None), None):
                raise UsageError(f"{self.choice.label} has the unit {flux}: these are fluxes, give them with --fluxes")
            return ""
        unit, words = chosen_unit(self._flags.unit, told, self.choice.label, "--flux-unit")
        self.notes.insert(0, f"{self._flags.system} magnitudes from fluxes {words}")
        return unit

    def _arrays(self, given: str, flag: str) -> tuple[str, ...]:
        """The arrays that a flag names, one of all bands or one for each."""
        if PLACE in given:
            wanted = self._flags.wanted
            names = resolve(given, list(self._contents.arrays), flag, self._contents.listed(), wanted)
            found = tuple(names[band] for band in wanted.bands)
        else:
            found = (find(self._contents, given, flag),)
        self.used += found
        self.notes.append(f"{flag[2:]} {given} taken off")
        return found

    def _ivar_of_fluxes(self) -> tuple[str, ...] | None:
        """Inverse variances beside the fluxes. A flux without any was not measured."""
        if not self._is_flux:
            return None
        by_name = {name.lower(): name for name in self._contents.arrays}
        shape = self._contents.arrays[self.choice.names[0]].shape
        found = []
        for name in self.choice.names:
            plain = name.lower()
            names = ("flux_ivar", "fluxivar", "ivar_flux")  # of the Legacy Surveys, and of SDSS's CasJobs
            wanted = (f"{plain}_ivar", *(plain.replace("flux", name) for name in names))
            match = next((by_name[other] for other in wanted if other != plain and other in by_name), None)
            if match is None or self._contents.arrays[match].shape != shape:
                return None
            found.append(match)
        self.notes.append("not observed where the inverse variance is 0")
        return tuple(found)

    def _check_values(self) -> None:
        """Refuses numbers that are no magnitudes."""
        values = self._read(self.choice.names, 0, min(SAMPLE_ROWS, self.rows))
        given = values[np.isfinite(values) & ~np.isin(np.trunc(values), PLACEHOLDERS)]
        median = float(np.median(given)) if given.size else 20.0
        if not MAGNITUDES[0] < median < MAGNITUDES[1]:
            raise UsageError(
                f"{self.choice.label} of {self._contents.name} holds no magnitudes, as their median is {median:.4g}: "
                "name others with --magnitudes, or fluxes with --fluxes"
            )

    def _read(self, names: tuple[str, ...], start: int, stop: int) -> Array:
        """Float64 [n, bands]."""
        columns = [as_numbers(self._contents.arrays[name].read(start, stop)) for name in names]
        if len(names) > 1:
            return np.column_stack([column.reshape(stop - start) for column in columns])
        if columns[0].ndim == 1:
            return np.repeat(columns[0][:, None], len(self._flags.wanted.bands), axis=1)
        return columns[0] if self._places is None else columns[0][:, self._places]

    def read(self, start: int, stop: int) -> Array:
        """Float32 [stop - start, bands]: NaN for a missing one, 99 where not detected, -99 where not observed."""
        flags, values = self._flags, self._read(self.choice.names, start, stop)
        if self._is_flux:
            for names, flag in self._corrections:
                factor = self._read(names, start, stop)
                with np.errstate(divide="ignore", invalid="ignore"):
                    values = values / factor if flag == "--transmission" else values * 10 ** (factor / 2.5)
            values = magnitudes_of(values, self._unit, flags.system, flags.wanted.bands)
            if self._ivar is not None:
                ivar = self._read(self._ivar, start, stop)
                values = not_observed(values, ~(ivar > 0))
        else:
            values = converted(values, flags.given_system or flags.system, flags.system, flags.wanted.bands)
            for names, _ in self._corrections:
                values = np.where(np.abs(values) < 90, values - self._read(names, start, stop), values)
        with np.errstate(over="ignore", invalid="ignore"):
            return values.astype(np.float32)


def chosen_unit(given: str | None, told: Sequence[str | None], name: str, flag: str) -> tuple[str, str]:
    """The unit of fluxes, which is the flag's, or the files', or nanomaggies, and that in words.

    Args:
        given: What the flag says.
        told: What is said of the arrays and files that the fluxes come from, and None where nothing is.
        name: What messages call the fluxes.
        flag: The flag.

    Raises:
        UsageError: the files give a unit that is not known, or several.
    """
    if given is not None:
        zero_point(given)
        others = [unit for unit in told if unit is not None and spelled(unit) not in (None, given)]
        contradicted = f", though the file says {others[0]}" if others else ""
        return given, f"in {given} by {flag}{contradicted}"
    found = list(dict.fromkeys(map(meant, told)))
    if len(found) > 1:
        listed = ", ".join(found)
        raise UsageError(f"{name} has several units ({listed}): bring it to one, or say with {flag} which one it has")
    if not any(told):
        return found[0], f"in {found[0]}, since the file gives no unit ({flag} names another)"
    if spelled(found[0]) is None:
        raise UsageError(
            f"{name} has the unit {found[0]!r}, which is not known: say with {flag} what it is, as in {flag} "
            "zeropoint=27"
        )
    return found[0], f"in {found[0]} by the file"
