"""cosmicai bench inference: our engines beside the published loop, ONNX Runtime and OpenVINO, on the same weights.

This package is light to import. Each contender is a process that imports it, and how fast that starts is measured.
"""

import argparse
from pathlib import Path

from lambda_image import process
from lambda_image.model import SHIPPED_MODEL
from lambda_image.model.engine_files import DEVICES
from lambda_image.settings import MAX_VCPUS
from scripts.bench.flags import add_common_arguments
from scripts.bench.inference.contenders import NAMES

HELP = "samples/s, share of GEMM peak, cold start and memory of every engine, beside ONNX Runtime and OpenVINO"
EXAMPLE = "cosmicai bench inference --json bench.json --picture bench.svg"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    cpus = min(process.usable_cpus(), MAX_VCPUS)
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL, help="weights (.safetensors)")
    parser.add_argument("--partition", type=Path, help="galaxies to predict (default: sample galaxies)")
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="cuda measures PyTorch on a GPU")
    parser.add_argument("--threads", type=int, default=cpus, help="threads of each contender")
    parser.add_argument("--only", metavar="NAME,...", help=f"some of {', '.join(NAMES['cpu'])}")
    add_common_arguments(parser, quick="fewer and shorter rounds, one batch size")


def run(args: argparse.Namespace) -> int:
    from scripts.bench.inference import command

    return command.run(args)
