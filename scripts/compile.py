"""cosmicai compile: the engine that ships, made from a checkpoint."""

import argparse
import time
from pathlib import Path

import numpy as np

from lambda_image import process
from lambda_image.settings import SHIPPED_MODEL
from scripts.galaxies import Mixture, render

HELP = "compile a checkpoint into the engine that ranks use (needs g++), checked against PyTorch"
EXAMPLE = "cosmicai compile --model model.safetensors"

CHECKED = 128  # of each kind: a wrong fold shows in the first; the rest is for rounding
CHECKED_INT8 = 512  # R² to three digits
SEED = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL, help="weights (.safetensors)")
    parser.add_argument("--int8", action="store_true", help="also for INFERENCE_ENGINE=int8, checked on galaxies")


def run(args: argparse.Namespace) -> int:
    from lambda_image.model.building import build  # PyTorch takes seconds to import
    from lambda_image.model.checking import Sample

    started = time.perf_counter()
    rng = np.random.default_rng(SEED)
    magnitudes, redshifts = Mixture.shipped().draw(CHECKED_INT8 if args.int8 else CHECKED, rng)
    galaxies = Sample(render(magnitudes, rng), np.ascontiguousarray(magnitudes), redshifts)
    samples = [
        Sample(galaxies.images[:CHECKED], galaxies.magnitudes[:CHECKED]),
        Sample(
            rng.gamma(1.5, 0.6, (CHECKED, 5, 32, 32)).astype(np.float32),
            (17 + rng.standard_normal((CHECKED, 5))).astype(np.float32),
        ),
    ]
    folder = build(args.model, samples, process.usable_cpus(), print, galaxies if args.int8 else None)
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{folder} ({size / 1e6:.1f} MB) in {time.perf_counter() - started:.1f} s")
    return 0
