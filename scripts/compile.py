"""cosmicai compile makes the engine of a checkpoint, and checks it and others against PyTorch."""

import argparse
import math
import time
from pathlib import Path

import numpy as np

from lambda_image import process
from lambda_image.errors import UsageError
from lambda_image.json_text import parse_json
from lambda_image.model import SHIPPED_MODEL
from lambda_image.model.engine_files import DEVICES, LOW_PRECISIONS, MAX_DIFFERENCE, RECORD
from scripts.galaxies import Mixture, render
from scripts.json_file import add_json, write_json
from scripts.user_files import add_overwrite, check_new, check_there

HELP = "compile a checkpoint into the engine that ranks use (needs g++), checked against PyTorch"
EXAMPLE = "cosmicai compile --model model.safetensors"

CHECKED = 128  # of each kind: a wrong fold shows in the first; the rest is for rounding
CHECKED_LOW = 512  # R² to three digits
SEED = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL, help="weights (.safetensors)")
    for name in LOW_PRECISIONS:
        parser.add_argument(
            f"--{name}",
            dest="low",
            action="append_const",
            const=name,
            help=f"compile for INFERENCE_ENGINE={name}, too, and check it on sample galaxies",
        )
    parser.add_argument(
        "--device", choices=DEVICES, default="cpu", help="cuda checks PyTorch on a GPU, and needs no g++"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=MAX_DIFFERENCE,
        metavar="DZ",
        help="allowed difference in redshift from PyTorch in float64; more only for weights that amplify rounding",
    )
    add_json(parser, "how far each engine was off, and what was made")
    add_overwrite(parser, "the file that --json names")


def run(args: argparse.Namespace) -> int:
    low = args.low or []
    if "int8" in low and args.device == "cuda":
        raise UsageError("--int8 is for processors; allowed with --device cuda: --bf16")
    if not (math.isfinite(args.tolerance) and args.tolerance > 0):
        raise UsageError(f"--tolerance is {args.tolerance}; allowed: a difference in redshift, such as 3e-5")
    check_new({"--json": args.json}, overwrite=args.overwrite, read=[args.model])
    check_there("--model", args.model, "weights that `cosmicai convert` has written")

    from lambda_image.model.engine_builder import build  # PyTorch takes seconds to import
    from lambda_image.model.engine_check import Sample

    started = time.perf_counter()
    rng = np.random.default_rng(SEED)
    magnitudes, redshifts = Mixture.shipped().draw(CHECKED_LOW, rng)
    galaxies = Sample(render(magnitudes, rng), np.ascontiguousarray(magnitudes), redshifts)
    samples = [
        Sample(galaxies.images[:CHECKED], galaxies.magnitudes[:CHECKED]),
        Sample(
            rng.gamma(1.5, 0.6, (CHECKED, 5, 32, 32)).astype(np.float32),
            (17 + rng.standard_normal((CHECKED, 5))).astype(np.float32),
        ),
    ]
    folder = build(args.model, samples, process.usable_cpus(), print, low, galaxies, args.device, args.tolerance)
    size = sum(file.stat().st_size for file in folder.iterdir())
    seconds = time.perf_counter() - started
    print(f"{folder} ({size / 1e6:.1f} MB) in {seconds:.1f} s")
    made = {"folder": str(folder), "bytes": size, "seconds": seconds}
    write_json({**made, **parse_json((folder / RECORD).read_text())}, args.json, print)
    return 0
