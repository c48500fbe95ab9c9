"""cosmicai tune: which batch size and how many threads infer fastest here, and which cost least on Lambda.

Lambda has no GPUs. With one, only batch sizes are compared.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from lambda_image import process
from lambda_image.cost import LAMBDA_GB_SECOND
from lambda_image.data.sizes import PUBLISHED, Sizes
from lambda_image.events import MAX_BATCH_SIZE
from lambda_image.model import SHIPPED_MODEL
from lambda_image.model import engine as engines
from lambda_image.model.engine import Engine
from lambda_image.model.engine_files import DEVICES, Device
from lambda_image.settings import MAX_VCPUS, MB_PER_VCPU
from scripts.console import output_console, print_tables
from scripts.flag_values import check_whole, parse_numbers
from scripts.galaxies import Mixture, render
from scripts.json_file import add_json
from scripts.machine import describe_machine
from scripts.output_files import check_files, write_figures
from scripts.series import Series
from scripts.step_progress import StepProgress
from scripts.user_files import add_overwrite, check_there
from scripts.words import counted

HELP = "sweep batch sizes and threads, and say which are best on this machine and why"
EXAMPLE = "cosmicai tune --threads 1,2 --batch-sizes 64,128,256,512"

BATCH_SIZES: Mapping[Device, Sequence[int]] = {
    "cpu": (1, 8, 32, 64, 128, 256, 512, 1024),
    "cuda": (64, 256, 512, 1024, 2048, 4096, 8192),  # a GPU is filled by thousands
}
ROUND_S = 0.5  # of inference in one round of one setting: long against what one batch takes
ROUNDS = 5
AS_GOOD = 0.98  # of the best rate; what lies within the noise is as good, and then the smaller batch is better
TABLE_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Setting:
    """What is compared."""

    threads: int
    batch_size: int

    def __str__(self) -> str:
        return f"{counted(self.threads, 'thread')}, batches of {self.batch_size}"


@dataclass(frozen=True, slots=True)
class Advice:
    """The settings that are best."""

    fastest: Setting
    cheapest: Setting  # on Lambda, where threads cost memory, as one vCPU comes with 1,769 MB


def add_arguments(parser: argparse.ArgumentParser) -> None:
    cpus = min(process.usable_cpus(), MAX_VCPUS)
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL, help="weights (.safetensors)")
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="cuda measures PyTorch on a GPU")
    parser.add_argument("--threads", metavar="N,...", help=f"numbers of threads (default: 1 to {cpus}; with a GPU 1)")
    parser.add_argument(
        "--batch-sizes", metavar="N,...", help="numbers of galaxies (default: 1 to 1,024; with a GPU 64 to 8,192)"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each setting is measured, in turn")
    add_json(parser, "all figures of every round")
    add_overwrite(parser, "the file that --json names")


def run(args: argparse.Namespace, round_s: float = ROUND_S) -> int:
    """Run the command. `round_s` is how many seconds a round of one setting takes."""
    cpus = process.usable_cpus()
    threads: Sequence[int] = range(1, 1 + (1 if args.device == "cuda" else min(cpus, MAX_VCPUS)))
    batch_sizes = BATCH_SIZES[args.device]
    if args.threads is not None:
        threads = parse_numbers("--threads", args.threads, 1, cpus)
    if args.batch_sizes is not None:
        batch_sizes = parse_numbers("--batch-sizes", args.batch_sizes, 1, MAX_BATCH_SIZE)
    check_whole("--rounds", args.rounds)
    check_there("--model", args.model, "weights (.safetensors)")
    check_files(args.json, overwrite=args.overwrite)
    settings = [Setting(number, size) for number in threads for size in batch_sizes]
    machine = describe_machine(("cosmicai", "torch", "numpy"), args.device)
    series = {setting: Series(asdict(setting)) for setting in settings}
    sizes = engines.load(args.model, threads[0], device=args.device).sizes
    images, magnitudes = _galaxies(max(batch_sizes), sizes)
    with StepProgress(sys.stdout) as progress:
        progress.begin(len(settings) * args.rounds)
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
    console = output_console(TABLE_WIDTH)
    print_tables(console, _table(series, rates, advice, on_lambda=args.device == "cpu"))
    for line in advice_lines(advice, rates, on_lambda=args.device == "cpu"):
        console.print(line, markup=False)
    report = {
        "machine": machine,
        "device": args.device,
        "settings": [one.to_json() for one in series.values()],
        "fastest": asdict(advice.fastest),
        "cheapest": asdict(advice.cheapest),
    }
    write_figures(report, args.json, console)
    return 0


def rate_of(
    engine: Engine,
    images: np.ndarray,
    magnitudes: np.ndarray,
    batch_size: int,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return galaxies per second in batches of `batch_size`, over at least `seconds` by `clock`."""
    done, began = 0, clock()
    while (now := clock()) < began + seconds or not done:
        engine.predict(images[:batch_size], magnitudes[:batch_size])
        done += batch_size
    return done / (max(now, clock()) - began)


def advise(rates: Mapping[Setting, float]) -> Advice:
    """Return the best settings, given galaxies per second of each.

    Of settings as good as the best one it is that with the fewest threads, and then with the smallest batch.
    """
    return Advice(_best(rates), _best({setting: rate / setting.threads for setting, rate in rates.items()}))


def usd_per_million(setting: Setting, rate: float) -> float:
    """Return what a million galaxies cost on Lambda (x86_64), with the memory that gives as many vCPUs as threads.

    Args:
        setting: How they are inferred.
        rate: Galaxies per second.
    """
    gb_seconds = 1e6 / rate * setting.threads * MB_PER_VCPU / 1024
    return gb_seconds * LAMBDA_GB_SECOND["x86_64"]


def advice_lines(advice: Advice, rates: Mapping[Setting, float], on_lambda: bool = True) -> Iterator[str]:
    """Yield the advice in lines for people. `on_lambda` says whether Lambda can do what was measured."""
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


def _best(rates: Mapping[Setting, float]) -> Setting:
    enough = AS_GOOD * max(rates.values())
    return min(
        (setting for setting, rate in rates.items() if rate >= enough),
        key=lambda setting: (setting.threads, setting.batch_size),
    )


def _table(series: dict[Setting, Series], rates: Mapping[Setting, float], advice: Advice, on_lambda: bool) -> Table:
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


def _galaxies(count: int, sizes: Sizes) -> tuple[np.ndarray, np.ndarray]:
    """Sample galaxies, or for a network of other sizes noise, which it infers as quickly."""
    rng = np.random.default_rng(0)
    if sizes != PUBLISHED:
        return rng.random((count, *sizes.image), np.float32), rng.random((count, sizes.magnitudes), np.float32)
    magnitudes, _ = Mixture.shipped().draw(count, rng)
    return render(magnitudes, rng), magnitudes.astype(np.float32)
