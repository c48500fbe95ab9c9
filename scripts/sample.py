"""cosmicai sample: galaxies to try the system on."""

import argparse
from pathlib import Path

import numpy as np

from lambda_image.data.partition import FileFormat, write_partition
from lambda_image.errors import UsageError
from scripts.flag_values import check_whole
from scripts.galaxies import load_catalogue, made_galaxies, render
from scripts.user_files import add_overwrite, check_new, check_there
from scripts.words import counted

FORMATS: dict[str, FileFormat] = {".pt": "pt", ".safetensors": "safetensors"}

HELP = "make galaxies with realistic magnitudes and redshifts, and images of their light"
EXAMPLE = "cosmicai sample galaxies.safetensors --count 4096"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, help="the dataset to write: .safetensors, or .pt for the published format")
    parser.add_argument("--count", type=int, default=4096, help="how many galaxies")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same galaxies")
    parser.add_argument(
        "--catalogue",
        type=Path,
        help=".npz with mags [N, 5] (u, g, r, i, z), redshift [N] and, if known, petro_mags [N, 5], whose light the "
        "images then hold: render its galaxies instead of drawing some",
    )
    add_overwrite(parser, "the dataset, if it is there")


def run(args: argparse.Namespace) -> int:
    check_whole("--count", args.count)
    check_whole("--seed", args.seed, 0)
    file_format = FORMATS.get(args.out.suffix.lower())
    if file_format is None:
        raise UsageError(f"{args.out} must end in {' or '.join(FORMATS)}, which decides the format of the dataset")
    check_there("--catalogue", args.catalogue, "an .npz file of magnitudes and redshifts")
    check_new({"": args.out}, overwrite=args.overwrite, read=[args.catalogue])
    rng = np.random.default_rng(args.seed)
    if args.catalogue:
        magnitudes, redshifts, petrosian = load_catalogue(args.catalogue)
        images = render(magnitudes, rng, petrosian)
    else:
        images, magnitudes, redshifts = made_galaxies(args.count, rng)
    write_partition(args.out, images, magnitudes, redshifts, file_format=file_format)
    print(f"{counted(len(images), 'galaxy', 'galaxies')} in {args.out} ({args.out.stat().st_size / 1e6:.1f} MB)")
    return 0
