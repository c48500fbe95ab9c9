"""The command, which makes a benchmark of its flags."""

import argparse
import importlib.util
from collections.abc import Callable, Sequence

from scripts.bench.command import Benchmark, run_benchmark
from scripts.bench.inference.contenders import NAMES, ONNX_RUNTIME, OPENVINO
from scripts.bench.inference.measure import InferenceResults, measure
from scripts.bench.inference.picture import draw
from scripts.bench.inference.plan import QUICK, InferencePlan
from scripts.bench.inference.prepare import prepared
from scripts.bench.inference.tables import result_tables
from scripts.flag_values import check_whole, parse_names
from scripts.step_progress import StepProgress
from scripts.user_files import check_there

NEEDED = {ONNX_RUNTIME: "onnxruntime", OPENVINO: "openvino"}  # beside onnx and onnxscript, which write the model
PACKAGES = ("cosmicai", "torch", "onnxruntime", "openvino", "numpy")


def run(args: argparse.Namespace, plan: InferencePlan | None = None) -> int:
    """Run the benchmark. `plan` is another one than the flags choose."""
    check_whole("--threads", args.threads)
    check_there("--model", args.model, "weights (.safetensors)")
    check_there("--partition", args.partition, "a dataset")
    known = NAMES[args.device]
    names = parse_names("--only", args.only, known) if args.only else known
    plan = plan or (QUICK if args.quick else InferencePlan())
    plan = plan.for_a_gpu() if args.device == "cuda" else plan

    def measure_all(progress: StepProgress) -> InferenceResults:
        able = _able(names, progress.say)
        with prepared(
            args.model, args.partition, plan.galaxies, args.threads, able, progress.say, args.device
        ) as ready:
            return measure(plan, ready.names, ready.spec, progress)

    benchmark = Benchmark(
        name="inference",
        packages=PACKAGES,
        device=args.device,
        settings={"device": args.device, "threads": args.threads},
        measure=measure_all,
        tables=lambda results, console: result_tables(results),
        draw=draw,
    )
    return run_benchmark(benchmark, args.json, args.picture, overwrite=args.overwrite)


def _able(
    names: Sequence[str], say: Callable[[str], None], find: Callable[[str], object] = importlib.util.find_spec
) -> list[str]:
    """Contenders whose modules `find` finds. Those that cannot run are named to people."""
    able = []
    for name in names:
        needed = [module for peer, module in NEEDED.items() if name.startswith(peer)]
        missing = [m for m in (*needed, *(("onnx", "onnxscript") if needed else ())) if not find(m)]
        if missing:
            say(f"{name} is left out: pip install -e '.[bench]' installs {missing[0]}")
        else:
            able.append(name)
    return able
