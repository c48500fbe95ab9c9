"""cosmicai tune finds the batch size and number of threads that are fastest here, and the cheapest ones on Lambda.

On a GPU it finds the batch size alone, as Lambda has no GPUs.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from lambda_image import process
from lambda_image.cost import LAMBDA_GB_SECOND
from lambda_image.errors import UsageError
from lambda_image.events import MAX_BATCH_SIZE
from lambda_image.model import SHIPPED_MODEL
from lambda_image.model import engine as engines
from lambda_image.model.engine import Engine
from lambda_image.model.engine_files import DEVICES, Device
from lambda_image.settings import MAX_VCPUS, MB_PER_VCPU
from scripts.bench.machine import describe_machine
from scripts.bench.progress import BenchProgress
from scripts.bench.rounds import Series
from scripts.galaxies import Mixture, render

HELP = "sweep batch sizes and threads, and show which are best on this machine and why"
EXAMPLE = "cosmicai tune --threads 1,2 --batch-sizes 64,128,256,512"

BATCH_SIZES: Mapping[Device, Sequence[int]] = {
    "cpu": (1, 8, 32, 64, 128, 256, 512, 1024),
    "cuda": (64, 256, 512, 1024, 2048, 4096, 8192),  # a GPU is filled by thousands
}
ROUND_S = 0.5  # of inference in one round of one setting: long against what one batch takes
ROUNDS = 5
AS_GOOD = 0.98  # of the best rate: what lies within the noise is as good, and then the smaller batch is better
TABLE_WIDTH = 100  # where the output is no terminal, which would know its own


@dataclass(frozen=True, slots=True)
class Setting:
    threads: int
    batch_size: int

    def __str__(self) -> str:
        return f"{self.threads} thread{'s' if self.threads > 1 else ''}, batches of {self.batch_size}"


@dataclass(frozen=True, slots=True)
class Advice:
    fastest: Setting
    cheapest: Setting  # on Lambda, where threads cost memory: one vCPU comes with 1,769 MB


def add_arguments(parser: argparse.ArgumentParser) -> None:
    cpus = min(process.usable_cpus(), MAX_VCPUS)
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL, help="weights (.safetensors)")
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="cuda: PyTorch on a GPU")
    parser.add_argument("--threads", metavar="N,...", help=f"numbers of threads (default: 1 to {cpus}; with a GPU 1)")
    parser.add_argument(
        "--batch-sizes", metavar="N,...", help="numbers of galaxies (default: 1 to 1,024; with a GPU 64 to 8,192)"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each setting is measured, in turn")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures of every round")


def run(args: argparse.Namespace, round_s: float = ROUND_S) -> int:
    most = 1 if args.device == "cuda" else min(process.usable_cpus(), MAX_VCPUS)
    threads = _numbers("--threads", args.threads, process.usable_cpus(), default=range(1, most + 1))
    batch_sizes = _numbers("--batch-sizes", args.batch_sizes, MAX_BATCH_SIZE, default=BATCH_SIZES[args.device])
    if args.rounds < 1:
        raise UsageError(f"--rounds is {args.rounds}; allowed: a whole number from 1")
    settings = [Setting(number, size) for number in threads for size in batch_sizes]
    machine = describe_machine(("cosmicai", "torch", "numpy"), args.device)
    series = {setting: Series(asdict(setting)) for setting in settings}
    images, magnitudes = _galaxies(max(batch_sizes))
    with BenchProgress(sys.stdout, len(settings) * args.rounds) as progress:
        for number in range(args.rounds):
            for count in threads:
                engine = engines.load(args.model, count, device=args.device)
                engine.predict(images[:1], magnitudes[:1])
                for setting in settings if number % 2 == 0 else reversed(settings):  # no setting is always the last
                    if setting.threads == count:
                        progress.step(str(setting))
                        rate = rate_of(engine, images, magnitudes, setting.batch_size, round_s)
                        series[setting].rounds.append({"samples_per_s": rate})
    rates = {setting: one.figures()["samples_per_s"].median for setting, one in series.items()}
    advice = advise(rates)
    console = Console(width=None if sys.stdout.isatty() else TABLE_WIDTH, highlight=False)
    console.print(_table(series, rates, advice, on_lambda=args.device == "cpu"))
    for line in in_words(advice, rates, on_lambda=args.device == "cpu"):
        console.print(line, markup=False)
    if args.json is not None:
        report = {
            "machine": machine,
            "device": args.device,
            "settings": [one.to_json() for one in series.values()],
            "fastest": asdict(advice.fastest),
            "cheapest": asdict(advice.cheapest),
        }
        args.json.write_text(json.dumps(report, indent=1) + "\n")
        console.print(f"figures in {args.json}", markup=False)
    return 0


def rate_of(
    engine: Engine,
    images: np.ndarray,
    magnitudes: np.ndarray,
    batch_size: int,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Measures galaxies per second in batches of `batch_size`, over at least `seconds`."""
    done, began = 0, clock()
    while (now := clock()) < began + seconds or not done:
        engine.predict(images[:batch_size], magnitudes[:batch_size])
        done += batch_size
    return done / (max(now, clock()) - began)


def advise(rates: dict[Setting, float]) -> Advice:
    """Chooses among settings as good as the best one those with the fewest threads, then the smallest batch."""
    return Advice(_best(rates), _best({setting: rate / setting.threads for setting, rate in rates.items()}))


def usd_per_million(setting: Setting, rate: float) -> float:
    """Computes what a million galaxies cost on Lambda (x86_64), with the memory that gives so many vCPUs."""
    gb_seconds = 1e6 / rate * setting.threads * MB_PER_VCPU / 1024
    return gb_seconds * LAMBDA_GB_SECOND["x86_64"]


def in_words(advice: Advice, rates: dict[Setting, float], on_lambda: bool = True) -> Iterator[str]:
    fastest, cheapest = advice.fastest, advice.cheapest
    best = max(rates, key=rates.__getitem__)
    rate = rates[fastest]
    why = "nothing was faster"
    if best != fastest:
        why = f"within {1 - AS_GOOD:.0%} of the fastest, {best}, and a smaller batch or fewer threads are cheaper"
    yield f"best here: {fastest}: {rate:,.0f} galaxies/s ({why})."
    use = f'To use it: "batch_size": {fastest.batch_size} in the execution\'s input'
    if not on_lambda:
        yield f"{use}; INFERENCE_DEVICE=cuda for the ranks."
        return
    memory = f"a Lambda of {cheapest.threads * MB_PER_VCPU:,} MB"
    price = usd_per_million(cheapest, rates[cheapest])
    yield f"cheapest on Lambda: {cheapest}, {memory}: {price:.3f} USD per million galaxies."
    yield f"{use}; threads follow the Lambda's memory (one for each {MB_PER_VCPU:,} MB), or OMP_NUM_THREADS."


def _best(rates: dict[Setting, float]) -> Setting:
    enough = AS_GOOD * max(rates.values())
    return min(
        (setting for setting, rate in rates.items() if rate >= enough),
        key=lambda setting: (setting.threads, setting.batch_size),
    )


def _table(series: dict[Setting, Series], rates: dict[Setting, float], advice: Advice, on_lambda: bool) -> Table:
    table = Table(title="inference", title_justify="left")
    for name in ("threads", "batch", "galaxies/s", "lowest", "highest", *(["USD per million"] if on_lambda else [])):
        table.add_column(name, justify="right")
    table.add_column()
    for setting, one in series.items():
        figure = one.figures()["samples_per_s"]
        choices = ("fastest", "cheapest") if on_lambda else ("fastest",)
        marks = [name for name in choices if getattr(advice, name) == setting]
        spread = (f"{value:,.1f}" for value in (figure.median, figure.low, figure.high))
        price = [f"{usd_per_million(setting, rates[setting]):.3f}"] if on_lambda else []
        table.add_row(str(setting.threads), str(setting.batch_size), *spread, *price, ", ".join(marks))
    return table


def _galaxies(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    magnitudes, _ = Mixture.shipped().draw(count, rng)
    return render(magnitudes, rng), magnitudes.astype(np.float32)


def _numbers(flag: str, text: str | None, most: int, default: Sequence[int]) -> Sequence[int]:
    if text is None:
        return default
    numbers: list[Any] = [int(word) if word.strip().isdecimal() else None for word in text.split(",")]
    if any(number is None or not 1 <= number <= most for number in numbers):
        raise UsageError(f"{flag} is {text!r}; allowed: whole numbers from 1 to {most:,}, with commas between")
    return list(dict.fromkeys(numbers))
