"""cosmicai evaluate: how good a model's redshifts are, for which galaxies, and what its images are worth."""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_image import process
from lambda_image.data.distribution_parts import SHOWN_BINS
from lambda_image.data.distributions import pit
from lambda_image.data.predictions import Predictions
from lambda_image.data.quality import known_redshifts
from lambda_image.errors import InvalidEvent, UsageError
from lambda_image.metrics import accuracy
from lambda_image.model import engine as engines
from lambda_image.model.calibrated import CalibratedEngine
from lambda_image.model.engine_files import DEVICES
from lambda_image.partition_names import printable
from lambda_image.settings import MAX_VCPUS
from scripts import execution
from scripts.console import output_console, print_tables
from scripts.evaluate import ablation, tables
from scripts.evaluate.measuring import judged, measure_bins
from scripts.flag_values import check_whole
from scripts.galaxy_progress import GalaxyProgress
from scripts.infer import ENGINES, Inferred, check_engine, predict
from scripts.json_file import add_json, write_json
from scripts.machine import describe_machine
from scripts.output_files import check_picture
from scripts.shard import Shard, Stretch, stretches
from scripts.user_files import add_overwrite, check_new, check_there
from scripts.user_model import load_usable
from scripts.words import counted

HELP = "measure how good a model's redshifts are, for which galaxies, and what its images are worth"
EXAMPLE = "cosmicai evaluate galaxies.safetensors --model mine.pt --csv accuracy.csv --pictures accuracy"

BINS, RESAMPLES, IMAGES = 5, 1000, 5000
PICTURES = REDSHIFTS, BY_BIN, BY_IMAGES, BY_PIT = "redshifts.png", "bins.png", "images.png", "distributions.png"
TABLE_WIDTH = 110


def add_arguments(parser: argparse.ArgumentParser) -> None:
    cpus = min(process.usable_cpus(), MAX_VCPUS)
    parser.add_argument("data", type=Path, metavar="DATA", help="a dataset file, or a folder of partitions")
    parser.add_argument("--model", type=Path, help="a checkpoint or ONNX file; without it, the shipped weights")
    parser.add_argument("--bins", type=int, default=BINS, help="bins of magnitude, of colour and of each redshift")
    parser.add_argument("--resamples", type=int, default=RESAMPLES, help="draws of the galaxies for each interval")
    parser.add_argument(
        "--images",
        type=int,
        default=IMAGES,
        metavar="N",
        help="galaxies, chosen by chance, that get other images to see what images are worth; 0 for none",
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed chooses and draws the same galaxies")
    parser.add_argument("--batch-size", type=int, default=256, help="galaxies that are inferred at a time")
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="cuda infers by PyTorch on a GPU")
    parser.add_argument("--engine", choices=ENGINES, default="auto", help="as INFERENCE_ENGINE of a rank")
    parser.add_argument("--threads", type=int, default=cpus, help="threads that compute")
    add_json(parser, "all measures with their intervals")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="the same as a table")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="a picture of each, .png")
    add_overwrite(parser, "the files that --json and --csv name, and pictures in the folder")


def run(args: argparse.Namespace, load: Callable[..., engines.Engine] = engines.load) -> int:
    """Run the command. `load` loads the engine, as `lambda_image.model.engine.load` does."""
    pictures = _check(args)
    files, warnings = execution.partition_files(args.data, "")
    check_there("--model", args.model, "a checkpoint or an ONNX file")
    written = {"--json": args.json, "--csv": args.csv}
    check_new(written, overwrite=args.overwrite, read=[*files, args.model])
    share = stretches(files, Shard())
    rows, rng = sum(stretch.stop - stretch.start for stretch in share), np.random.default_rng(args.seed)
    with GalaxyProgress(sys.stdout) as progress, tempfile.TemporaryDirectory(prefix="cosmicai-") as scratch:
        for warning in warnings:
            progress.say(f"warning: {warning}")
        settings = (args.threads, args.engine, args.device)
        engine = load_usable(args.model, Path(scratch), *settings, progress.say, load)
        inferred = predict(share, engine, args.batch_size, "flag", progress, rows)
        galaxies = judged(inferred.predictions)
        if not len(galaxies):
            raise InvalidEvent(_nothing_to_measure(args.data, inferred.predictions))
        found = _ablate(args, share, engine, inferred.predictions, rng, progress)
    quantiles = None
    if isinstance(engine, CalibratedEngine):
        quantiles = engine.describe(galaxies.redshift, galaxies.magnitudes).quantiles
    bins = [one.to_json() for one in measure_bins(galaxies, args.bins, args.resamples, rng, quantiles)]
    images = None if found is None else {**found.to_json(), "line": found.line(), "verdict": found.verdict()}
    report = {
        **{name: getattr(args, name) for name in ("bins", "resamples", "seed", "batch_size")},
        "data": str(args.data),
        "model": str(args.model or "shipped weights"),
        "engine": inferred.engine,
        "galaxies": len(galaxies),
        "rows": inferred.work.quality.to_json(),
        "bins": bins,
        "images": images,
        "pit": None if quantiles is None else _histogram(quantiles, galaxies),
        "machine": describe_machine(("cosmicai", "torch", "numpy"), args.device),
    }
    _show(report, inferred)
    _write(args, report, pictures, inferred)
    return 0


def _check(args: argparse.Namespace) -> dict[str, Path]:
    """Judges the flags, and gives the pictures' files by their names."""
    execution.check_batch_size(args.batch_size)
    for flag in ("--threads", "--bins", "--resamples"):
        check_whole(flag, getattr(args, flag[2:]))
    for flag in ("--images", "--seed"):
        check_whole(flag, getattr(args, flag[2:]), 0)
    check_engine(args.engine, args.device)
    folder: Path | None = args.pictures
    if folder is None:
        return {}
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--pictures {printable(folder)} is a file: name a folder")
    check_picture("--pictures", folder / REDSHIFTS)
    if folder.is_dir():
        check_new({f"--pictures ({name})": folder / name for name in PICTURES}, overwrite=args.overwrite)
    elif not folder.absolute().parent.is_dir():
        raise UsageError(f"--pictures {printable(folder)} would be in a folder that does not exist: make it")
    return {name: folder / name for name in PICTURES}


def _histogram(quantiles: NDArray[np.float32], galaxies: Predictions) -> list[int]:
    counts: list[int] = np.histogram(pit(quantiles, galaxies.redshift_true), SHOWN_BINS, (0, 1))[0].tolist()
    return counts


def _nothing_to_measure(data: Path, predictions: Predictions) -> str:
    known = int(np.count_nonzero(known_redshifts(predictions.redshift_true)))
    if known:
        return f"{printable(data)}: none of its {counted(known, 'galaxy', 'galaxies')} with a redshift has a prediction"
    return f"{printable(data)}: no true redshift is known, which predictions could be measured by"


def _ablate(
    args: argparse.Namespace,
    share: list[Stretch],
    engine: engines.Engine,
    predictions: Predictions,
    rng: np.random.Generator,
    progress: GalaxyProgress,
) -> ablation.Ablation | None:
    """What images are worth, measured on some of the galaxies that can be; None where it is not wanted."""
    usable = np.flatnonzero(known_redshifts(predictions.redshift_true) & np.isfinite(predictions.redshift))
    count = min(args.images, len(usable))
    if not count:
        return None
    rows = np.sort(rng.choice(usable, count, replace=False))
    progress.say(f"once more {counted(count, 'galaxy', 'galaxies')} with other images")
    return ablation.ablate(
        engine,
        ablation.read_images(share, rows, args.batch_size, engine),
        predictions.magnitudes[rows],
        predictions.redshift[rows],
        predictions.redshift_true[rows],
        batch_size=args.batch_size,
        resamples=args.resamples,
        rng=rng,
    )


def _show(report: dict[str, Any], inferred: Inferred) -> None:
    console = output_console(TABLE_WIDTH)
    console.print(f"{counted(report['galaxies'], 'galaxy', 'galaxies')}, by the engine {report['engine']}")
    print_tables(console, tables.whole_table(report))
    print_tables(console, tables.bins_table(report))
    if report["images"] is not None:
        console.print(f"{report['images']['line']}. So {report['images']['verdict']}", markup=False, soft_wrap=True)
    for warning in inferred.work.quality.warnings():
        console.print(f"warning: {warning}", markup=False, soft_wrap=True)


def _write(args: argparse.Namespace, report: dict[str, Any], pictures: dict[str, Path], inferred: Inferred) -> None:
    write_json(report, args.json, print)
    if args.csv:
        tables.write_csv(report, args.csv)
        print(f"table in {printable(args.csv)}")
    if pictures:
        from scripts.accuracy_plot import draw  # matplotlib takes half a second to import
        from scripts.evaluate.pictures import draw_bins, draw_distributions, draw_images

        args.pictures.mkdir(exist_ok=True)
        predictions = inferred.predictions
        measures = accuracy(predictions.redshift, predictions.redshift_true)
        draw(predictions.redshift, predictions.redshift_true, measures, pictures[REDSHIFTS])
        draw_bins(report, pictures[BY_BIN])
        if report["images"] is not None:
            draw_images(report, pictures[BY_IMAGES])
        if report["pit"] is not None:
            draw_distributions(report, pictures[BY_PIT])
        print(f"pictures in {printable(args.pictures)}/")
