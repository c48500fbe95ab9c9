"""The command line of `cosmicai import`."""

import argparse
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np

from lambda_image.data.partition import FileFormat, Partition
from lambda_image.data.quality import Quality, describe, judge_inputs, known_redshifts
from lambda_image.data.sizes import BANDS, MAX_BANDS, MAX_SIDE, PUBLISHED_SIDE, Sizes
from lambda_image.errors import UsageError
from scripts.flag_values import check_positive, check_whole
from scripts.galaxy_progress import GalaxyProgress
from scripts.importing.galaxies import SAMPLE_ROWS, Galaxies, Request
from scripts.importing.id_tally import IdTally
from scripts.importing.images import PixelFlags
from scripts.importing.magnitudes import PhotometryFlags
from scripts.importing.photometry import UNIT_HELP, System, zero_point
from scripts.importing.wanted import Wanted
from scripts.split import SIZE_HELP, rows_of, write_partitions
from scripts.user_files import add_overwrite, check_new_folder, check_there
from scripts.words import counted

HELP = "make partitions of FITS, HDF5, Parquet, CSV, NumPy or PyTorch files"
EXAMPLE = "cosmicai import galaxies.fits --out partitions/"
SHOWN_FLAGS = (
    *(Quality.IMAGE_NOT_FINITE, Quality.IMAGE_IMPLAUSIBLE, Quality.MAGNITUDE_BAD),
    *(Quality.NOT_DETECTED, Quality.NOT_OBSERVED, Quality.FLUX_CONTRADICTS, Quality.REDSHIFT_UNKNOWN),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sources", type=Path, nargs="+", metavar="FILE", help="files or folders with the galaxies")
    parser.add_argument("--out", type=Path, help="a new or empty directory, for 1.safetensors, 2..., ...")
    parser.add_argument(
        "--show", action="store_true", help="show what would be taken from the files, and write nothing"
    )
    _add_names(parser)
    _add_meanings(parser)
    parser.add_argument("--size-mib", type=float, default=25.0, help=SIZE_HELP)
    parser.add_argument("--rows", type=int, help="galaxies in each file, instead of --size-mib")
    parser.add_argument("--format", choices=get_args(FileFormat), default="safetensors", help="format of the files")
    add_overwrite(parser, "partitions that are in the directory")


def _add_names(parser: argparse.ArgumentParser) -> None:
    names = parser.add_argument_group(
        "names", "Arrays of the files. {band} in a name stands for u, g, r, i and z. What is not named is guessed."
    )
    names.add_argument(
        "--images",
        help="the array of images, as images or image_{band}; or a file that has them, as cube.npy or stack.fits[SCI]; "
        "or a pattern of a file for each galaxy, as 'cutouts/{objid}.fits'",
    )
    names.add_argument("--magnitudes", help="the array of magnitudes, as mags, or one for each band, as dered_{band}")
    names.add_argument("--fluxes", help="the array of fluxes, of which magnitudes are made, as FLUX_{band}")
    names.add_argument("--redshifts", help="the column of true redshifts, or none")
    names.add_argument("--id", help="the column of ids")
    names.add_argument("--columns", help="columns that travel into the predictions, as ra,dec; all; or none")
    names.add_argument("--ivar", help="inverse variances of pixels, where 0 is a missing pixel; or none")
    names.add_argument("--mask", help="the mask of pixels, or none")
    names.add_argument("--extinction", help="Galactic extinctions in magnitudes, to be taken off")
    names.add_argument("--transmission", help="Galactic transmissions, by which fluxes are divided")


def _add_meanings(parser: argparse.ArgumentParser) -> None:
    meanings = parser.add_argument_group("meanings", "What the files do not say themselves.")
    meanings.add_argument("--bands", help="bands in their order along an array, as u,g,r,i,z")
    meanings.add_argument("--unit", help=f"unit of the pixels, and of fluxes: {UNIT_HELP}")
    meanings.add_argument("--flux-unit", help="unit of the fluxes, if it is another than --unit")
    meanings.add_argument(
        "--magnitude-system",
        choices=get_args(System),
        default="AB",
        help="magnitudes that are written: AB, or SDSS's asinh magnitudes",
    )
    meanings.add_argument("--given-system", choices=get_args(System), help="magnitudes in the files, if others")
    meanings.add_argument("--good-mask", type=int, choices=(0, 1), help="the value of a good pixel in the mask")
    meanings.add_argument("--pixel-scale", type=float, help="arcseconds per pixel")
    model = parser.add_argument_group("the model", "What it takes, if it is not the published one (docs/models.md).")
    model.add_argument("--model-bands", default=",".join(BANDS), help="its bands in their order, as g,r,i,z")
    model.add_argument("--side", type=int, default=PUBLISHED_SIDE, help="pixels of a side of its images")


def run(args: argparse.Namespace) -> int:
    rows_per_file = _rows_per_file(args)
    for source in args.sources:
        check_there("", source, "a file or a folder with galaxies", folders=True)
    if not args.show:
        if args.out is None:
            raise UsageError("--out is missing: name a new or empty directory, or ask for --show")
        check_new_folder("--out", args.out, overwrite=args.overwrite, read=args.sources)
    galaxies = Galaxies(_request(args))
    print("\n".join(galaxies.lines))
    for warning in galaxies.warnings:
        print(f"warning: {warning}")
    if args.show:
        among = f"among the first {SAMPLE_ROWS} galaxies, " if len(galaxies) > SAMPLE_ROWS else ""  # which were read
        for warning in galaxies.told():
            print(f"warning: {among}{warning}")
        return 0
    tally = _Tally()
    ids = None if galaxies.id is None else IdTally(galaxies.id)
    with GalaxyProgress(sys.stdout) as progress:
        progress.begin(len(galaxies))

        def written(part: Partition) -> None:
            tally.add(part)
            if ids is not None:
                ids.add(part.columns[ids.label])
            progress.advance(len(part))

        files = write_partitions(args.out, len(galaxies), rows_per_file, args.format, galaxies.read, written)
    told = [f"warning: {warning}" for warning in galaxies.told()]
    told += [*tally.lines(len(galaxies)), *_missing_integers(galaxies.missing_integers)]
    for line in [*told, *(ids.lines() if ids is not None else [])]:
        print(line)
    print(f"{counted(len(galaxies), 'galaxy', 'galaxies')} in {counted(files, 'file')} in {args.out}")
    return 0


def _rows_per_file(args: argparse.Namespace) -> int:
    check_whole("--rows", args.rows)
    check_positive("--size-mib", args.size_mib)
    wanted = _wanted(args)
    sizes = Sizes(len(wanted.bands), wanted.side, len(wanted.bands))
    return int(args.rows) if args.rows is not None else rows_of(args.size_mib, sizes)


def _wanted(args: argparse.Namespace) -> Wanted:
    bands = _names_in(args.model_bands)
    if not all(bands) or len(set(bands)) < len(bands) or len(bands) > MAX_BANDS:
        allowed = f"1 to {MAX_BANDS:,} different names, separated by commas"
        raise UsageError(f"--model-bands is {args.model_bands!r}; allowed: {allowed}")
    check_whole("--side", args.side, most=MAX_SIDE)
    return Wanted(bands, args.side)


def _names_in(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _request(args: argparse.Namespace) -> Request:
    check_positive("--pixel-scale", args.pixel_scale)
    for unit in filter(None, (args.unit, args.flux_unit)):
        zero_point(unit)
    bands, wanted = _names_in(args.bands) if args.bands else None, _wanted(args)
    return Request(
        sources=tuple(args.sources),
        images=args.images,
        pixels=PixelFlags(bands, args.mask, args.ivar, args.good_mask, wanted),
        photometry=PhotometryFlags(
            magnitudes=args.magnitudes,
            fluxes=args.fluxes,
            unit=args.flux_unit or args.unit,
            system=args.magnitude_system,
            given_system=args.given_system,
            extinction=args.extinction,
            transmission=args.transmission,
            bands=bands,
            wanted=wanted,
        ),
        unit=args.unit,
        redshifts=args.redshifts,
        id=args.id,
        columns=args.columns,
        pixel_scale=args.pixel_scale,
    )


class _Tally:
    """Counts what a run will flag, so that a user learns it before the run."""

    def __init__(self) -> None:
        self._counts: dict[Quality, int] = dict.fromkeys(SHOWN_FLAGS, 0)

    def add(self, part: Partition) -> None:
        flags: Any = judge_inputs(part.images, part.magnitudes)
        if part.redshifts is not None:  # of data without any, the lines above have said so
            flags[~known_redshifts(part.redshifts)] |= Quality.REDSHIFT_UNKNOWN
        for flag in SHOWN_FLAGS:
            self._counts[flag] += int(np.count_nonzero(flags & flag))

    def lines(self, total: int) -> list[str]:
        return [f"{count:,} of {total:,} galaxies: {describe(flag)}" for flag, count in self._counts.items() if count]


def _missing_integers(missing: dict[str, int]) -> list[str]:
    return [
        f"{label} has no value in {count:,} rows: they got the least integer of its type, or the greatest if unsigned"
        for label, count in missing.items()
    ]
