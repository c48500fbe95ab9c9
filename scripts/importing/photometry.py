"""Units of flux, and magnitudes from fluxes.

* AB: m = -2.5 log10(f / 3631 Jy) (Oke & Gunn 1983, ApJ 266, 713). A nanomaggy is 3631e-9 Jy, so that 1 is 22.5 mag.
* asinh: m = -2.5/ln(10) [asinh((f/f0) / 2b) + ln b] (Lupton, Gunn & Szalay 1999, AJ 118, 1406), with SDSS's softening
  b (Stoughton et al. 2002, AJ 123, 485, table 21). It is a number for any flux, also one below zero.

A magnitude of 99 says that a galaxy was looked for in a band and not detected, and -99 that it was not observed there
(Benitez 2000, BPZ; Coe et al. 2006).
"""

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np

from lambda_image.data.quality import NOT_DETECTED, NOT_OBSERVED
from lambda_image.errors import UsageError
from scripts.importing.contents import Array

System = Literal["AB", "asinh"]
AB_ZERO_JY = 3631.0  # the flux of magnitude 0
NANOMAGGY_ZERO_POINT = 22.5
SOFTENING = {"u": 1.4e-10, "g": 0.9e-10, "r": 1.2e-10, "i": 1.8e-10, "z": 7.4e-10}  # b, in units of f0
POGSON = 2.5 / np.log(10)
UNITS = ("nanomaggy", "maggy", "nJy", "uJy", "mJy", "Jy")
UNIT_HELP = "nanomaggy, maggy, nJy, uJy, mJy, Jy or zeropoint=MAG, the AB magnitude of a flux of 1"
DEFAULT_UNIT = "nanomaggy"  # where nothing says another
_JANSKYS = {"nJy": 1e-9, "uJy": 1e-6, "mJy": 1e-3, "Jy": 1.0}
_SPELLINGS = {
    "nanomaggy": r"nano-?magg(y|ie|ies)|nmgy|nmaggy",
    "maggy": r"magg(y|ies)|mgy",
    "nJy": r"njy|nano-?jansky",
    "uJy": r"[uµμ]jy|micro-?jansky",
    "mJy": r"mjy|milli-?jansky",
    "Jy": r"jy|jansky",
}
_PER_PIXEL = re.compile(r"\s*(/|per|\*)?\s*(pix|pixel)(\^?-1|\*\*-1)?s?$", re.IGNORECASE)


def zero_point(unit: str) -> float:
    """The AB magnitude of a flux of 1 in this unit.

    Args:
        unit: A unit as flags name it.

    Raises:
        UsageError: it is none.
    """
    if unit == "nanomaggy":
        return NANOMAGGY_ZERO_POINT
    if unit == "maggy":
        return 0.0
    if unit in _JANSKYS:
        return float(2.5 * np.log10(AB_ZERO_JY / _JANSKYS[unit]))
    found = re.fullmatch(r"zeropoint=([+-]?\d+(?:\.\d*)?)", unit)
    if not found:
        raise UsageError(f"the unit {unit!r} is not known; allowed: {UNIT_HELP}")
    return float(found[1])


def spelled(text: str) -> str | None:
    """The unit, as flags name it, that a file spells in its own way; None if it is no unit of flux that is known."""
    plain = _PER_PIXEL.sub("", text.strip()).strip()
    for unit, pattern in _SPELLINGS.items():
        if unit == "mJy" and plain.startswith("M"):
            continue  # a megajansky
        if re.fullmatch(pattern, plain, re.IGNORECASE):
            return unit
    return None


def meant(text: str | None) -> str:
    """The unit, as flags name it, that a file gives by a text or by None for nothing; the text if it is not known."""
    return DEFAULT_UNIT if text is None else spelled(text) or text


def nanomaggies_per(unit: str) -> float:
    """How many nanomaggies a flux of 1 in this unit is. Raises UsageError."""
    return float(10 ** ((NANOMAGGY_ZERO_POINT - zero_point(unit)) / 2.5))


def magnitudes_of(fluxes: Array, unit: str, system: System, bands: Sequence[str] = tuple(SOFTENING)) -> Array:
    """Magnitudes from fluxes.

    Args:
        fluxes: Float64 [N, bands]; NaN where one is missing.
        unit: Their unit.
        system: AB, or asinh as SDSS defines it.
        bands: Which bands these are.

    Returns:
        Float64 [N, bands]. An AB magnitude of a flux that is not above zero is 99, which says that it was not detected.
    """
    maggies = fluxes * 10 ** (-zero_point(unit) / 2.5)
    if system == "asinh":
        return _asinh(maggies, _softening(bands))
    return _pogson(maggies)


def converted(magnitudes: Array, given: System, wanted: System, bands: Sequence[str] = tuple(SOFTENING)) -> Array:
    """Magnitudes [N, bands] of one system in the other. Codes such as 99 and -99 stay, and all else beyond 40."""
    if given == wanted:
        return magnitudes
    softening = _softening(bands)
    codes = ~(np.abs(magnitudes) < 40)
    with np.errstate(over="ignore", invalid="ignore"):
        if wanted == "AB":
            result = _pogson(2 * softening * np.sinh(-magnitudes / POGSON - np.log(softening)))
        else:
            maggies = 10 ** (-magnitudes / 2.5)
            result = _asinh(maggies, softening)
    return np.where(codes, magnitudes, result)


def _softening(bands: Sequence[str]) -> Array:
    if unknown := [band for band in bands if band not in SOFTENING]:
        raise UsageError(f"SDSS has no asinh magnitudes in {', '.join(unknown)}: AB magnitudes can be had in any band")
    return np.array([SOFTENING[band] for band in bands])


def _asinh(maggies: Array, softening: Array) -> Array:
    magnitudes: Array = -POGSON * (np.arcsinh(maggies / (2 * softening)) + np.log(softening))
    return magnitudes


def _pogson(maggies: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitudes = -2.5 * np.log10(maggies)
    return np.where(maggies <= 0, float(NOT_DETECTED), magnitudes)


def not_observed(magnitudes: Array, where: Array) -> Array:
    """The magnitudes with the code for what was not observed in some places."""
    return np.where(where, float(NOT_OBSERVED), magnitudes)
