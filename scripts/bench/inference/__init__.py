"""cosmicai bench inference: our engines beside the published loop, ONNX Runtime and OpenVINO, on the same weights."""

import argparse
import importlib.util
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from lambda_image import process
from lambda_image.errors import InvalidEvent
from lambda_image.model import SHIPPED_MODEL
from lambda_image.model.engine_files import DEVICES
from lambda_image.settings import MAX_VCPUS
from scripts.bench.files import add_file_arguments, check_files, write_files
from scripts.bench.inference.contenders import NAMES, ONNX_RUNTIME, OPENVINO
from scripts.bench.inference.measure import Results, measure
from scripts.bench.inference.picture import draw
from scripts.bench.inference.plan import QUICK, Plan
from scripts.bench.inference.prepare import prepared
from scripts.bench.inference.tables import result_tables
from scripts.bench.machine import describe_machine
from scripts.bench.progress import BenchProgress

HELP = "samples/s, share of GEMM peak, cold start and memory of every engine, beside ONNX Runtime and OpenVINO"
EXAMPLE = "cosmicai bench inference --json bench.json --picture bench.svg"

NEEDED = {ONNX_RUNTIME: "onnxruntime", OPENVINO: "openvino"}  # beside onnx and onnxscript, which write the model
PACKAGES = ("cosmicai", "torch", "onnxruntime", "openvino", "numpy")
TABLE_WIDTH = 120  # where the output is no terminal, which would know its own


def add_arguments(parser: argparse.ArgumentParser) -> None:
    cpus = min(process.usable_cpus(), MAX_VCPUS)
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL, help="weights (.safetensors)")
    parser.add_argument("--partition", type=Path, help="galaxies to predict (default: sample galaxies)")
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="cuda: PyTorch on a GPU")
    parser.add_argument("--threads", type=int, default=cpus, help="of each contender")
    parser.add_argument("--only", metavar="NAME,...", help=f"of {', '.join(NAMES['cpu'])}")
    add_file_arguments(parser)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, two batch sizes")


def run(args: argparse.Namespace, plan: Plan | None = None) -> int:
    """`plan`: another one than the flags choose."""
    if args.threads < 1:
        raise InvalidEvent(f"--threads is {args.threads}; allowed: a whole number from 1")
    check_files(args.json, args.picture)
    plan = plan or (QUICK if args.quick else Plan())
    plan = plan.for_a_gpu() if args.device == "cuda" else plan
    console = Console(width=None if sys.stdout.isatty() else TABLE_WIDTH, highlight=False)

    def say(text: str) -> None:
        console.print(text, markup=False)

    names = _names(args.only, NAMES[args.device], say)
    report: dict[str, Any] = {
        "benchmark": "inference",
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(PACKAGES, args.device),
        "device": args.device,
        "threads": args.threads,
    }
    with ExitStack() as stack:
        ready = stack.enter_context(
            prepared(args.model, args.partition, plan.galaxies, args.threads, names, say, args.device)
        )
        progress = stack.enter_context(BenchProgress(sys.stdout, plan.steps(ready.names)))
        results = Results()
        measure(plan, ready.names, ready.spec, results, progress)
    report |= results.to_json()
    console.print(result_tables(results))
    write_files(report, args.json, args.picture, draw, console)
    return 0


def _names(only: str | None, known: Sequence[str], say: Callable[[str], None]) -> list[str]:
    """Contenders that are asked for and can run here; those that cannot are named."""
    asked = [part.strip() for part in only.split(",")] if only else list(known)
    if unknown := [name for name in asked if name not in known]:
        raise InvalidEvent(f"--only {only}: {unknown[0]!r} is unknown; allowed: {', '.join(known)}")
    able = []
    for name in asked:
        needed = [module for peer, module in NEEDED.items() if name.startswith(peer)]
        missing = [m for m in (*needed, *(("onnx", "onnxscript") if needed else ())) if not importlib.util.find_spec(m)]
        if missing:
            say(f"{name} is left out: pip install -e '.[bench]' installs {missing[0]}")
        else:
            able.append(name)
    return able
