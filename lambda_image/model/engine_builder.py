"""Makes the engines of a checkpoint, and refuses to keep any that does not answer as the reference does."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from lambda_image.errors import CheckpointError
from lambda_image.model import checkpoint, folding
from lambda_image.model.architecture import ModelConfig, RedshiftModel
from lambda_image.model.cxx import compile_library, instruction_sets
from lambda_image.model.eager import Eager, gpu_name
from lambda_image.model.engine import Engine
from lambda_image.model.engine_check import Check, LowPrecisionCheck, Reference, Sample, check_low_precision
from lambda_image.model.engine_digests import library_digest, weights_digest
from lambda_image.model.engine_files import (
    LIBRARY,
    MAX_DIFFERENCE,
    Compiled,
    Device,
    LowPrecision,
    Precision,
    folder_of,
    is_onnx,
    weights_of,
)
from lambda_image.model.fast import Fast


def build(
    path: Path,
    samples: Sequence[Sample],
    threads: int,
    say: Callable[[str], None],
    low: Sequence[LowPrecision] = (),
    galaxies: Sample | None = None,
    device: Device = "cpu",
    tolerance: float = MAX_DIFFERENCE,
) -> Path:
    """The folder of the engines made from the checkpoint at `path`; those of `low` precision are checked on `galaxies`.

    For the processor the native engine is compiled; on a GPU, and for bf16, it is PyTorch that is checked. Raises
    CheckpointError, and then keeps nothing; what was there before stays. InvalidEvent where there is no GPU.
    """
    if device == "cuda":
        say(f"on {gpu_name()}")
    if is_onnx(path):
        raise CheckpointError(f"{path} is an ONNX file: ONNX Runtime (INFERENCE_ENGINE=onnx, or auto) runs it as it is")
    model = checkpoint.load(path)
    if model.config != ModelConfig():
        raise CheckpointError(
            f"checkpoint {path} has other sizes than the published network, which alone is compiled: PyTorch "
            "(INFERENCE_ENGINE=eager, or auto) runs it as it is"
        )
    target = folder_of(path, device)
    folder = target.with_name(f".{target.name}.{os.getpid()}.partial")
    folder.mkdir()
    try:
        if device == "cpu":
            compile_library(folder / LIBRARY)
        reference, eager = Reference(model, samples, threads), Eager(model, threads)
        checks: dict[str, dict[str, float]] = {}
        precisions: list[Precision | LowPrecision] = ["float32", *low]
        for precision in precisions:
            found: list[Check | LowPrecisionCheck] = []
            for means, engine in _engines(precision, path, model, folder, threads, device):
                if precision == "float32":
                    found.append(reference.check(engine.predict, tolerance))
                else:
                    found.append(check_low_precision(precision, eager.predict, engine.predict, galaxies))
                say(f"{precision} by {means}: {found[-1]}")
            checks[precision] = asdict(max(found, key=lambda check: check.max_difference))
        Compiled.of(path, eager.parameters_mb, checks, _digests(folder)).write(folder)
        _put_in_place(folder, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return target


def _digests(folder: Path) -> dict[str, str]:
    """Of the compiled engine's files, which it is loaded by; none where only a check is on record."""
    weights = {path.name: weights_digest(np.memmap(path, np.float32, mode="r")) for path in folder.glob("*.weights")}
    return {LIBRARY: library_digest(folder / LIBRARY), **weights} if weights else {}


def _engines(
    precision: Precision | LowPrecision, path: Path, model: RedshiftModel, folder: Path, threads: int, device: Device
) -> Iterator[tuple[str, Engine]]:
    """All that would answer in this precision, and by which means."""
    if device == "cuda" or precision == "bf16":
        yield f"PyTorch on {device}", Eager(checkpoint.load(path), threads, device, bf16=precision == "bf16")
        return
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    folding.pack(tensors, model.config, precision).tofile(weights_of(folder, precision))
    for name in runnable_sets(folder):
        yield name, Fast(folder, threads, precision=precision, instruction_set=name)


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
