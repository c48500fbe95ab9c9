"""cosmicai calibrate: error bars for a model, learnt from labelled galaxies that it was not trained on."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_image import process
from lambda_image.data.distributions import LEVELS, Quantiles
from lambda_image.data.predictions import Predictions
from lambda_image.errors import InvalidEvent, UsageError
from lambda_image.model import SHIPPED_MODEL
from lambda_image.model import engine as engines
from lambda_image.model.calibration import RedshiftCalibration, calibration_path
from lambda_image.model.engine_files import DEVICES, weights_sha256
from lambda_image.partition_names import printable
from lambda_image.settings import MAX_VCPUS
from scripts import execution
from scripts.console import output_console, plain_table, print_tables
from scripts.evaluate.groups import ALL
from scripts.evaluate.measuring import judged, measure_bins
from scripts.flag_values import check_whole
from scripts.galaxy_progress import GalaxyProgress
from scripts.infer import ENGINES, check_engine, predict
from scripts.json_file import add_json, write_json
from scripts.shard import Shard, stretches
from scripts.user_files import add_overwrite, check_ending, check_new, check_there
from scripts.user_model import usable_model
from scripts.words import counted

HELP = "learn error bars for a model from labelled galaxies that it was not trained on"
EXAMPLE = "cosmicai calibrate --data labelled.safetensors --model mine.safetensors"

FOLDS = 5  # each takes as long as the calibration itself
LEAST = 200  # galaxies to fit to: 95 % intervals of fewer are told by a handful
BINS = 5
TABLE_WIDTH = 100
MEASURED = ("coverage_68", "coverage_95", "within_err", "pit_ks", "cde_loss")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    cpus = min(process.usable_cpus(), MAX_VCPUS)
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        help="labelled datasets, each a file or a folder of partitions, of which the model saw nothing in training",
    )
    parser.add_argument("--model", type=Path, help="a checkpoint or ONNX file; without it, the shipped weights")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the calibration (default: beside the model)")
    parser.add_argument(
        "--folds", type=int, default=FOLDS, help="parts of each dataset; the others tell the error bars of each in turn"
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same calibration")
    parser.add_argument("--batch-size", type=int, default=256, help="galaxies that are inferred at a time")
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="cuda infers by PyTorch on a GPU")
    parser.add_argument("--engine", choices=ENGINES, default="auto", help="as INFERENCE_ENGINE of a rank")
    parser.add_argument("--threads", type=int, default=cpus, help="threads that compute")
    add_json(parser, "the measures of error bars")
    add_overwrite(parser, "the calibration that is there, and the file that --json names")


def run(
    args: argparse.Namespace,
    load: Callable[..., engines.Engine] = engines.load,
    fit: Callable[[Predictions, str, int], RedshiftCalibration] | None = None,
) -> int:
    """Run the command. `load` is `lambda_image.model.engine.load`, and `fit` is `fit_to`."""
    model = args.model or SHIPPED_MODEL
    out = args.out or calibration_path(model)
    _check(args)
    check_there("--model", args.model, "a checkpoint or an ONNX file")
    files = [execution.partition_files(data, "--data")[0] for data in args.data]
    check_ending("--out", args.out, ".json")
    written = {"--out": out, "--json": args.json}
    check_new(written, overwrite=args.overwrite, read=[*(file for some in files for file in some), args.model])
    rng = np.random.default_rng(args.seed)
    with GalaxyProgress(sys.stdout) as progress, tempfile.TemporaryDirectory(prefix="cosmicai-") as scratch:
        usable = usable_model(args.model, Path(scratch), calibrated=False)
        engine = load(usable.path, args.threads, args.engine, device=args.device, error_bars=False)
        sets = []
        for some in files:
            share = stretches(some, Shard())
            rows = sum(stretch.stop - stretch.start for stretch in share)
            sets.append(judged(predict(share, engine, args.batch_size, "flag", progress, rows).predictions))
    sets, repeats = _without_repeats(sets)
    if repeats:
        are = "is there more than once, and counts" if repeats == 1 else "are there more than once, and count"
        print(f"{counted(repeats, 'galaxy', 'galaxies')} {are} once")
    folds = [_folds(len(galaxies), args.folds, rng) for galaxies in sets]
    everything, fold = Predictions.concatenate(sets), np.concatenate(folds)
    least = min(int((fold != number).sum()) for number in range(args.folds))
    if least < LEAST:
        raise InvalidEvent(
            f"--data holds {counted(len(everything), 'galaxy', 'galaxies')} with a true redshift and a prediction, "
            f"and {args.folds} folds leave {least:,} to fit to: {LEAST} are needed"
        )
    fit, weights = fit or fit_to, weights_sha256(model)
    print(f"fitting to {counted(len(everything), 'galaxy', 'galaxies')}, and to those of all folds but one", flush=True)
    judged_by_others = _by_others(everything, fold, lambda galaxies: fit(galaxies, weights, args.seed))
    report = _report(args, judged_by_others, [len(galaxies) for galaxies in sets])
    _tell(args.folds + 1, args.folds + 1)
    made = {name: report[name] for name in ("galaxies", "folds", "seed", "all")}
    replace(fit(everything, weights, args.seed), made=made).write(out)
    _show(report)
    there, used = printable(out), calibration_path(model)
    if out.resolve() == used.resolve():
        print(f"calibration in {there}. Runs with these weights have error bars now")
    else:
        print(f"calibration in {there}. Runs with these weights have error bars once it lies at {printable(used)}")
    write_json(report, args.json, print)
    return 0


def _without_repeats(sets: Sequence[Predictions]) -> tuple[list[Predictions], int]:
    """Leaves out galaxies that came before, as no fold leaves out what another holds, and says how many these are."""
    everything = Predictions.concatenate(sets)
    known = np.column_stack((everything.magnitudes, everything.redshift, everything.redshift_true))
    first = np.zeros(len(everything), np.bool_)
    first[np.unique(known, axis=0, return_index=True)[1]] = True
    ends = np.cumsum([len(galaxies) for galaxies in sets])
    kept = np.split(first, ends[:-1])
    return [galaxies.where(rows) for galaxies, rows in zip(sets, kept, strict=True)], int(np.count_nonzero(~first))


def fit_to(galaxies: Predictions, weights: str, seed: int) -> RedshiftCalibration:
    """Fit a calibration to galaxies with predictions and true redshifts."""
    from scripts.calibrate.fitting import Labelled, fit  # PyTorch takes seconds to import

    arrays = (galaxies.redshift, galaxies.magnitudes, galaxies.redshift_true)
    return fit(Labelled(*(array.astype(np.float64) for array in arrays)), weights, seed)


def _check(args: argparse.Namespace) -> None:
    execution.check_batch_size(args.batch_size)
    check_whole("--threads", args.threads)
    check_engine(args.engine, args.device)
    check_whole("--folds", args.folds, 2)
    check_whole("--seed", args.seed, 0)
    places = [data.resolve() for data in args.data]
    if repeated := [data for data, place in zip(args.data, places, strict=True) if places.count(place) > 1]:
        raise UsageError(f"--data names {printable(repeated[0])} twice: each galaxy counts once")


@dataclass(frozen=True)
class JudgedGalaxies:
    """Galaxies with the error bars and quantiles that a calibration gave which was not fitted to them."""

    predictions: Predictions
    quantiles: Quantiles

    def rows(self, chosen: slice) -> "JudgedGalaxies":
        """Chooses galaxies."""
        within = np.zeros(len(self.predictions), np.bool_)
        within[chosen] = True
        return JudgedGalaxies(self.predictions.where(within), self.quantiles[chosen])


def _folds(count: int, folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The fold of each galaxy, by chance and always the same for a seed."""
    fold: NDArray[np.int64] = rng.permutation(np.arange(count) % folds)
    return fold


def _by_others(
    galaxies: Predictions, fold: NDArray[np.int64], fit: Callable[[Predictions], RedshiftCalibration]
) -> JudgedGalaxies:
    """Cross-validation (Stone 1974): the galaxies of each fold by a calibration that was fitted to all others."""
    errors = np.empty(len(galaxies), np.float32)
    quantiles = np.empty((len(galaxies), len(LEVELS)), np.float32)
    numbers = np.unique(fold)
    for fits, number in enumerate(numbers, start=1):
        _tell(fits, len(numbers) + 1)
        seen = fold == number
        part = galaxies.where(seen)
        described = fit(galaxies.where(~seen)).describe(part.redshift, part.magnitudes)
        errors[seen], quantiles[seen] = described.redshift_err, described.quantiles
    return JudgedGalaxies(replace(galaxies, redshift_err=errors), quantiles)


def _tell(number: int, fits: int) -> None:
    """Says which fit begins, since each may take a minute."""
    print(f"fit {number} of {fits}", flush=True)


def _report(args: argparse.Namespace, galaxies: JudgedGalaxies, counts: Sequence[int]) -> dict[str, Any]:
    ends = np.cumsum(counts)
    parts = {str(data): slice(end - count, end) for data, count, end in zip(args.data, counts, ends, strict=True)}
    return {
        "galaxies": len(galaxies.predictions),
        "folds": args.folds,
        "seed": args.seed,
        "all": measures(galaxies),
        "data": {data: measures(galaxies.rows(part)) for data, part in parts.items()},
    }


def measures(galaxies: JudgedGalaxies) -> dict[str, Any]:
    """Measure error bars on galaxies that the fit did not see.

    Args:
        galaxies: What is said of them.

    Returns:
        The measures of all of them, and by group the coverage of the bin in which it is furthest off.
    """
    if not len(galaxies.predictions):
        return {}
    bins = list(measure_bins(galaxies.predictions, BINS, 0, np.random.default_rng(0), galaxies.quantiles))
    found: dict[str, Any] = {name: bins[0].measures[name].value for name in MEASURED}
    found["galaxies"], found["worst"] = len(galaxies.predictions), {}
    for one in bins[1:]:
        worst = found["worst"].setdefault(one.bin.group, {})
        for name, wanted in (("coverage_68", 0.68), ("coverage_95", 0.95)):
            value = one.measures[name].value
            if value is not None and abs(value - wanted) >= abs(worst.get(name, wanted) - wanted):
                worst[name] = value
    assert bins[0].bin.group == ALL
    return found


def _show(report: Mapping[str, Any]) -> None:
    heads = ("galaxies", "in 68%", "in 95%", "in redshift_err", "PIT off by", "CDE loss")
    table = plain_table("", ("by the other folds",), heads, narrow=True)
    rows = {"all": report["all"], **(report["data"] if len(report["data"]) > 1 else {})}
    for name, found in rows.items():
        if found:
            shares = [f"{found[key]:.1%}" for key in MEASURED[:3]]
            table.add_row(name, f"{found['galaxies']:,}", *shares, f"{found['pit_ks']:.3f}", f"{found['cde_loss']:.2f}")
    console = output_console(TABLE_WIDTH)
    print_tables(console, table)
    for group, worst in report["all"]["worst"].items():
        if group != "true redshift":  # of which nobody knows the bin beforehand
            words = f"{worst['coverage_68']:.1%} in 68%, {worst['coverage_95']:.1%} in 95%"
            console.print(f"furthest off in {BINS} bins of {group}: {words}", markup=False)
