"""Compiles a checkpoint for the native engine, and refuses to keep what does not answer as the reference does."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from lambda_image.errors import CheckpointError
from lambda_image.model import checkpoint, folding
from lambda_image.model.architecture import ModelConfig
from lambda_image.model.checking import Check, LowPrecisionCheck, Reference, Sample, check_low_precision
from lambda_image.model.compiled import LIBRARY, Compiled, Precision, folder_of, weights_of
from lambda_image.model.compiler import compile_library, instruction_sets
from lambda_image.model.eager import Eager
from lambda_image.model.fast import Fast


def build(
    path: Path,
    samples: Sequence[Sample],
    threads: int,
    say: Callable[[str], None],
    galaxies: Sample | None = None,
) -> Path:
    """The folder of the engine compiled from the checkpoint at `path`; with int8 if there are galaxies to check it on.

    Raises CheckpointError, and then keeps nothing; what was there before stays.
    """
    model = checkpoint.load(path)
    if model.config != ModelConfig():
        raise CheckpointError(
            f"checkpoint {path} has other sizes than the published network, which alone is compiled: "
            "use INFERENCE_ENGINE=eager"
        )
    target = folder_of(path)
    folder = target.with_name(f".{target.name}.{os.getpid()}.partial")
    folder.mkdir()
    try:
        compile_library(folder / LIBRARY)
        tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
        checks: dict[str, dict[str, float]] = {}

        def add(precision: Precision, check: Callable[[Fast], Check | LowPrecisionCheck]) -> None:
            folding.pack(tensors, model.config, precision).tofile(weights_of(folder, precision))
            found = []
            for name in runnable_sets(folder):
                found.append(check(Fast(folder, threads, precision=precision, instruction_set=name)))
                say(f"{precision} by {name}: differs from the reference by {found[-1].max_difference:.1e} at most")
            checks[precision] = asdict(max(found, key=lambda check: check.max_difference))

        reference, eager = Reference(model, samples, threads), Eager(model, threads)
        add("float32", lambda fast: reference.check(fast.predict))
        if galaxies is not None:
            add("int8", lambda fast: check_low_precision(eager.predict, fast.predict, galaxies))
        Compiled.of(path, eager.parameters_mb, checks).write(folder)
        _put_in_place(folder, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return target


def runnable_sets(folder: Path) -> list[str]:
    """Those of the library's instruction sets that this machine can run."""
    names = instruction_sets()
    return names[: names.index(Fast(folder, 1).instruction_set) + 1]


def _put_in_place(folder: Path, target: Path) -> None:
    """The folder at `target`, whole; whoever has the old one mapped keeps it."""
    if target.exists():
        old = target.with_name(f".{target.name}.{os.getpid()}.old")
        target.rename(old)
        folder.rename(target)
        shutil.rmtree(old)
    else:
        folder.rename(target)
