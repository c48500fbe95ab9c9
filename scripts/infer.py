"""cosmicai infer: the redshifts of a dataset by this process alone, without a run."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
from rich.table import Table

from lambda_image import process
from lambda_image.atomic_file import atomic_file
from lambda_image.data.distributions import IN_CATALOGUES, NAMES
from lambda_image.data.partition import PartitionStream, open_partition
from lambda_image.data.predictions import Predictions
from lambda_image.data.quality import OnBadRow
from lambda_image.data.sizes import Sizes
from lambda_image.errors import PartitionMalformed, UsageError
from lambda_image.inference import infer
from lambda_image.metrics import accuracy, accuracy_rows
from lambda_image.model import engine as engines
from lambda_image.model.calibrated import CalibratedEngine
from lambda_image.model.engine_files import DEVICES, ENGINE_NAMES, Device
from lambda_image.partition_names import printable
from lambda_image.results import Work
from lambda_image.settings import MAX_VCPUS
from scripts import execution
from scripts.console import output_console, print_tables
from scripts.flag_values import check_whole
from scripts.galaxy_progress import GalaxyProgress
from scripts.json_file import add_json, write_json
from scripts.local_results import results_json
from scripts.machine import describe_machine
from scripts.output_files import check_picture
from scripts.shard import Shard, Stretch, parse_shard, stretches
from scripts.user_files import add_overwrite, check_ending, check_new, check_there
from scripts.user_model import load_usable
from scripts.words import counted

HELP = "predict the redshifts of a dataset in this process, without a run"
EXAMPLE = "cosmicai infer galaxies.pt --json Results.json --plot inference.png"

ENGINES = tuple(dict.fromkeys(name for names in ENGINE_NAMES.values() for name in names))
TABLE_WIDTH = 100


@dataclass(frozen=True)
class Inferred:
    """What came of it."""

    predictions: Predictions
    work: Work
    engine: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    cpus = min(process.usable_cpus(), MAX_VCPUS)
    parser.add_argument("data", type=Path, metavar="DATA", help="a dataset file, or a folder of partitions")
    parser.add_argument("--model", type=Path, help="a checkpoint, as for `cosmicai demo`; without it, the shipped one")
    parser.add_argument("--batch-size", type=int, default=256, help="galaxies that are inferred at a time")
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="cuda infers by PyTorch on a GPU")
    parser.add_argument("--engine", choices=ENGINES, default="auto", help="as INFERENCE_ENGINE of a rank")
    parser.add_argument("--threads", type=int, default=cpus, help="threads that compute")
    parser.add_argument(
        "--shard",
        default="0/1",
        metavar="I/N",
        help="infer the share I of N equal ones, which begin with 0 ($SLURM_PROCID/$SLURM_NTASKS under srun)",
    )
    parser.add_argument(
        "--on-bad-row", choices=get_args(OnBadRow), default="flag", help="what is done about a galaxy that is no good"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the predictions (default: predictions.parquet, or predictions-I-of-N.parquet for a shard)",
    )
    add_json(parser, "accuracy and speed, under the published keys")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="predicted against true redshifts, .png or .svg")
    add_overwrite(parser, "the files that --out, --json and --plot name")


def run(args: argparse.Namespace, load: Callable[..., engines.Engine] = engines.load) -> int:
    """Run the command. `load` loads the engine, as `lambda_image.model.engine.load` does."""
    shard = parse_shard(args.shard)
    execution.check_batch_size(args.batch_size)
    check_whole("--threads", args.threads)
    check_engine(args.engine, args.device)
    out = args.out or Path(default_name(shard))
    check_picture("--plot", args.plot)
    check_ending("--out", args.out, ".parquet")
    files, warnings = execution.partition_files(args.data, "")
    check_there("--model", args.model, "a checkpoint or an ONNX file")
    written = {"--out": out, "--json": args.json, "--plot": args.plot}
    check_new(written, overwrite=args.overwrite, read=[*files, args.model])
    share = stretches(files, shard)
    rows = sum(stretch.stop - stretch.start for stretch in share)
    if not rows and shard.whole:
        raise PartitionMalformed(f"{printable(args.data)}: it holds no galaxies", object=str(args.data))
    with GalaxyProgress(sys.stdout) as progress, tempfile.TemporaryDirectory(prefix="cosmicai-") as scratch:
        for warning in warnings:
            progress.say(f"warning: {warning}")
        settings = (args.threads, args.engine, args.device)
        engine = load_usable(args.model, Path(scratch), *settings, progress.say, load)
        inferred = predict(share, engine, args.batch_size, args.on_bad_row, progress, rows)
    with atomic_file(out) as partial_file:
        partial_file.write_bytes(inferred.predictions.to_parquet())
    _report(args, shard, out, inferred)
    return 0


def check_engine(name: str, device: Device) -> None:
    """Check the flag `--engine`.

    Raises:
        UsageError: There is no such engine on the device.
    """
    if name not in (allowed := ENGINE_NAMES[device]):
        raise UsageError(f"--engine is {name}; allowed with --device {device}: {', '.join(allowed)}")


def default_name(shard: Shard) -> str:
    """Return the name of the predictions' file, which no other shard has."""
    return "predictions.parquet" if shard.whole else f"predictions-{shard.number}-of-{shard.count}.parquet"


def predict(
    share: list[Stretch],
    engine: engines.Engine,
    batch_size: int,
    on_bad_row: OnBadRow,
    progress: GalaxyProgress,
    rows: int,
) -> Inferred:
    """Infer a share of a dataset, with the code that a rank runs.

    Raises:
        PartitionMalformed: A file cannot be read, or a row is no good and `on_bad_row` is `fail`.
    """
    work = Work()
    progress.begin(rows)

    shown = 0

    def show(done: Work) -> None:
        nonlocal shown
        progress.advance(done.samples - shown)
        shown = done.samples

    partitions = [(str(stretch.file), partial(_opened, stretch, engine.sizes)) for stretch in share]
    parts = list(infer(partitions, engine, batch_size, work, show, on_bad_row))
    return Inferred(_with_distributions(Predictions.concatenate(parts), engine), work, engine.name)


def _with_distributions(predictions: Predictions, engine: engines.Engine) -> Predictions:
    """Adds mode and quantiles of p(z), as a run's catalogues have them, where the engine has a calibration."""
    if not isinstance(engine, CalibratedEngine):
        return predictions
    described = engine.describe(predictions.redshift, predictions.magnitudes)
    found = {"z_mode": described.z_mode, **dict(zip(NAMES, described.quantiles.T, strict=True))}
    added = {name: np.ma.masked_invalid(found[name]) for name in ("z_mode", *IN_CATALOGUES)}
    return replace(predictions, columns={**predictions.columns, **added})


@contextmanager
def _opened(stretch: Stretch, sizes: Sizes) -> Iterator[PartitionStream]:
    yield open_partition(stretch.file, rows=(stretch.start, stretch.stop), sizes=sizes)


def _report(args: argparse.Namespace, shard: Shard, out: Path, inferred: Inferred) -> None:
    work, predictions = inferred.work, inferred.predictions
    measures = accuracy(predictions.redshift, predictions.redshift_true)
    console = output_console(TABLE_WIDTH)
    print_tables(console, _table(inferred, measures.to_json()))
    for warning in work.quality.warnings():
        console.print(f"warning: {warning}", markup=False)
    console.print(f"{counted(len(predictions), 'prediction')} in {out}", markup=False)
    published = results_json(
        work, measures, batch_size=args.batch_size, device=args.device, peak_rss_mb=process.peak_rss_mb()
    )
    if args.json:
        report = {
            **published,
            "engine": inferred.engine,
            "threads": args.threads,
            "shard": str(shard),
            "samples": work.samples,
            "rows": work.quality.to_json(),
            "read_s": work.read_s,
            "inference_cpu_s": work.inference_cpu_s,
            "accuracy": measures.to_json(),
            "machine": describe_machine(("cosmicai", "torch", "numpy"), args.device),
        }
        write_json(report, args.json, partial(console.print, markup=False))
    if args.plot:
        from scripts.accuracy_plot import draw  # matplotlib takes half a second to import

        drawn = draw(predictions.redshift, predictions.redshift_true, measures, args.plot)
        nothing = "no plot, as no galaxy has a prediction and a known redshift"
        console.print(f"plot in {args.plot}" if drawn else nothing, markup=False)


def _table(inferred: Inferred, measures: dict[str, Any]) -> Table:
    work = inferred.work
    table = Table(show_header=False, box=None)
    rate = work.samples / work.inference_s if work.inference_s else 0.0
    rows = [
        ("galaxies", f"{work.samples:,}"),
        ("engine", inferred.engine),
        *accuracy_rows(measures),
        ("inference", f"{work.inference_s:.2f} s in {counted(work.batches, 'batch', 'batches')}"),
        ("throughput", f"{rate:,.0f} samples/s, {work.bits / work.inference_s / 1e6 if rate else 0:,.1f} Mbit/s"),
        ("peak memory", f"{process.peak_rss_mb():.0f} MB"),
    ]
    for name, value in rows:
        table.add_row(name, value)
    return table
