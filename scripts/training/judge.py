"""Measures weights on real galaxies that were kept aside: python -m scripts.training.judge --help

Each catalogue's are judged beside five small networks that were trained on the magnitudes of its other galaxies. The
same galaxies are drawn for both when intervals are made. Weights that scripts.training.train made answer to magnitudes
only, too, and are judged beside that answer, which tells what images add.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lambda_image import accuracy, load_engine
from lambda_image.data.partition import write_partition
from lambda_image.model import SHIPPED_MODEL
from lambda_image.model.checkpoint import is_converted, load
from scripts.evaluate.bootstrap import MeasuredInterval, intervals
from scripts.galaxies import COLOURS, Array, render
from scripts.training.catalogues import read_split, without_shared
from scripts.training.ensemble import fit_ensemble
from scripts.training.network import answer_to_magnitudes

RESAMPLES = 2000


def compared(model: Array, rival: Array, truth: Array, rng: np.random.Generator) -> dict[str, MeasuredInterval]:
    """R² and NMAD of both predictions [N], and what the model's change beside the rival's."""

    def measure(rows: Array) -> dict[str, float | None]:
        ours, theirs = (accuracy(predicted[rows], truth[rows]) for predicted in (model, rival))
        found: dict[str, float | None] = {}
        for name in ("r2", "nmad"):
            one, other = getattr(ours, name), getattr(theirs, name)
            found |= {name: one, f"rival {name}": other, f"{name} change": one - other}
        return found

    return intervals(measure, len(truth), RESAMPLES, rng)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.training.judge", allow_abbrev=False, description=__doc__)
    parser.add_argument(
        "catalogues", type=Path, nargs="+", help=".npz as scripts.training.train takes them, in its order"
    )
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL, help="the weights; without it the shipped ones")
    parser.add_argument("--write", type=Path, help="folder for the galaxies kept aside, a dataset for each catalogue")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    engine, model = load_engine(args.model), load(args.model) if is_converted(args.model) else None  # or an ONNX file
    splits = without_shared([read_split(path) for path in args.catalogues])
    for path, split in zip(args.catalogues, splits, strict=True):
        rng = np.random.default_rng(args.seed)
        aside, kept = split.validation, split.training
        magnitudes = aside.magnitudes.astype(np.float32)
        images = render(magnitudes, rng, aside.petrosian)
        if args.write:
            args.write.mkdir(parents=True, exist_ok=True)
            file = args.write / f"{path.stem}.safetensors"
            write_partition(file, images, magnitudes, aside.redshifts.astype(np.float32))
        predicted = engine.predict(images, magnitudes)
        print(f"{path.name}: {len(aside):,} galaxies kept aside, {len(kept):,} to train on")
        others = fit_ensemble(kept.magnitudes @ COLOURS.T, kept.redshifts, seed=args.seed)
        rivals = {
            "five small networks on magnitudes": others.predict(aside.magnitudes @ COLOURS.T),
            "their answer to magnitudes only": answer_to_magnitudes(model, magnitudes) if model else None,
        }
        for name, rival in rivals.items():
            if rival is not None:
                show(name, compared(predicted, rival, aside.redshifts, rng))
    return 0


def show(rival: str, found: dict[str, MeasuredInterval]) -> None:
    """Prints what `compared` found."""
    for name, digits in (("r2", 4), ("nmad", 5)):
        change = found[f"{name} change"]
        print(
            f"  {name:4}  weights {found[name].value:.{digits}f}, {rival} {found[f'rival {name}'].value:.{digits}f}, "
            f"change {change.value:+.{digits}f} ({change.low:+.{digits}f} to {change.high:+.{digits}f})"
        )


if __name__ == "__main__":
    raise SystemExit(main())
