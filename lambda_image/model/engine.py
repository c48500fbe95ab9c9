"""Engines predict redshifts from arrays. Which one does is a setting; `eager` is the reference.

PyTorch is imported only where it predicts: importing it takes longer than the compiled engine's whole start.
"""

import logging
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lambda_image import process
from lambda_image.data.quality import UNPREDICTABLE, Flags, Quality, judge_inputs, known_redshifts
from lambda_image.errors import CheckpointError
from lambda_image.model import SHIPPED_MODEL, engine_files
from lambda_image.model.calibrated import CalibratedEngine, calibrated
from lambda_image.model.calibration import PhotoZ
from lambda_image.model.engine_files import ENGINE_NAMES, Device, EngineName, Precision, is_onnx
from lambda_image.model.fast import Fast
from lambda_image.model.inputs import as_inputs
from lambda_image.model.protocols import Engine as Engine
from lambda_image.model.protocols import UncertainEngine as UncertainEngine


class Answers(NamedTuple):
    """What an engine says of N galaxies.

    Attributes:
        redshifts: Float32 [N], NaN where a row cannot be judged.
        flags: Int32 [N], what is wrong with each row.
        errors: Float32 [N], uncertainties of the redshifts, NaN where one is unknown. None where the engine gives none.
    """

    redshifts: NDArray[np.float32]
    flags: Flags
    errors: NDArray[np.float32] | None


class JudgingEngine:
    """Predicts as another engine does, and answers NaN for galaxies that cannot be judged."""

    def __init__(self, engine: Engine) -> None:
        self.name, self.device, self.parameters_mb = engine.name, engine.device, engine.parameters_mb
        self.sizes = engine.sizes
        self._engine = engine

    def predict(self, images: ArrayLike, magnitudes: ArrayLike) -> NDArray[np.float32]:
        """Predicts redshifts, as `Engine.predict` says."""
        return self._judged(images, magnitudes).redshifts

    def _judged(self, images: ArrayLike, magnitudes: ArrayLike) -> Answers:
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and judged so
            arrays = as_inputs(images, magnitudes, self.sizes)
        return predict_judged(self._engine, *arrays)


class UncertainJudgingEngine(JudgingEngine):
    """Does so with an engine that says how uncertain each redshift is."""

    def predict_with_errors(
        self, images: ArrayLike, magnitudes: ArrayLike
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Predicts redshifts and their uncertainties, as `UncertainEngine` says."""
        answers = self._judged(images, magnitudes)
        assert answers.errors is not None
        return answers.redshifts, answers.errors


class CalibratedJudgingEngine(UncertainJudgingEngine):
    """Does so with an engine that has a calibration."""

    def __init__(self, engine: CalibratedEngine) -> None:
        super().__init__(engine)
        self._calibrated = engine

    def predict_distributions(self, images: ArrayLike, magnitudes: ArrayLike) -> tuple[NDArray[np.float32], PhotoZ]:
        """Predicts redshifts and their distributions p(z).

        Args:
            images: As `predict` takes them.
            magnitudes: As `predict` takes them.

        Returns:
            Redshifts float32 [N], and their error bars, modes and quantiles, all NaN where there is no redshift.

        Raises:
            ValueError: As `predict` says.
        """
        redshifts = self.predict(images, magnitudes)
        return redshifts, self._calibrated.describe(redshifts, magnitudes)


def predict_judged(engine: Engine, images: NDArray[np.float32], magnitudes: NDArray[np.float32]) -> Answers:
    """Predicts redshifts where they mean something.

    Args:
        engine: What predicts. It is given zeros in the place of rows that cannot be judged, so that no other row can
            depend on what they hold.
        images: Float32 [N, bands, side, side], nanomaggies per pixel.
        magnitudes: Float32 [N, M].

    Returns:
        Redshifts, the rows' flags and, where the engine gives them, uncertainties.
    """
    flags = judge_inputs(images, magnitudes)
    bad = (flags & UNPREDICTABLE) != 0
    if bad.any():
        images, magnitudes = images.copy(), magnitudes.copy()
        images[bad], magnitudes[bad] = 0, 0
    errors: NDArray[np.float32] | None = None
    if isinstance(engine, UncertainEngine):
        redshifts, errors = engine.predict_with_errors(images, magnitudes)
    else:
        redshifts = engine.predict(images, magnitudes)
    finite = np.isfinite(redshifts)
    flags[~bad & ~finite] |= Quality.PREDICTION_NOT_FINITE
    flags[~bad & finite & ~known_redshifts(redshifts)] |= Quality.PREDICTION_IMPLAUSIBLE
    unpredictable = (flags & UNPREDICTABLE) != 0
    if unpredictable.any():
        redshifts = np.where(unpredictable, np.float32(np.nan), redshifts)
    if errors is not None:  # an uncertainty that is no number is not known; the redshift may stand all the same
        errors = np.where(unpredictable | ~np.isfinite(errors), np.float32(np.nan), errors)
    return Answers(redshifts, flags, errors)


def load_engine(
    path: str | os.PathLike[str] = SHIPPED_MODEL,
    *,
    threads: int | None = None,
    engine: EngineName = "auto",
    device: Device = "cpu",
) -> Engine:
    """Loads weights into an engine that predicts redshifts, and answers NaN where a redshift would mean nothing.

    A warning of the logger `lambda_image` tells why `auto` is not `fast`.

    Args:
        path: The weights, a checkpoint in this project's format, or any network as an ONNX file. The default is the
            weights that ship with the project.
        threads: How many threads compute. The default is one for each CPU that this process may use.
        engine: `fast` is the compiled engine and `int8` its variant of low precision. `eager` is PyTorch and `bf16` its
            variant of low precision. `onnx` is ONNX Runtime. `auto` is `onnx` for an ONNX file, `fast` where that is
            compiled for these weights, and else `eager`.
        device: `cpu`, or `cuda` for PyTorch on a GPU.

    Returns:
        The engine. Where a calibration lies beside the weights, it also has `predict_with_errors`, which gives
        redshifts and error bars, and `predict_distributions`, which gives redshifts and a `PhotoZ`.

    Raises:
        ValueError: There is no such engine or device, or the number of threads is below 1.
        CheckpointError: The weights cannot be read, or the engine that was asked for is not compiled for them.
        InvalidEvent: There is no GPU that PyTorch can use.
    """
    if engine not in ENGINE_NAMES.get(device, ()):
        allowed = "; ".join(f"{name}: {', '.join(names)}" for name, names in ENGINE_NAMES.items())
        raise ValueError(f"there is no engine {engine!r} on the device {device!r}; allowed: {allowed}")
    if threads is not None and threads < 1:
        raise ValueError(f"threads is {threads}; allowed: a whole number from 1")
    count = process.usable_cpus() if threads is None else threads
    made = load(Path(path), count, engine, logging.getLogger("lambda_image").warning, device)
    if isinstance(made, CalibratedEngine):
        return CalibratedJudgingEngine(made)
    return UncertainJudgingEngine(made) if isinstance(made, UncertainEngine) else JudgingEngine(made)


def load(
    path: Path,
    threads: int,
    name: EngineName = "auto",
    on_fallback: Callable[[str], None] = lambda reason: None,
    device: Device = "cpu",
    on_damage: Callable[[str], None] = lambda reason: None,
    error_bars: bool = True,
) -> Engine:
    """Loads weights into an engine, as `load_engine` does, with every setting given and no judgement of galaxies.

    Args:
        path: The weights, a checkpoint in this project's format, or an ONNX file.
        threads: How many threads compute.
        name: Which engine.
        on_fallback: Is called with the reason where `auto` is `eager` and not `fast`, and where the calibration beside
            the weights is for others.
        device: Where the engine computes.
        on_damage: Is called with the reason, too, where `fast` is there and not what was compiled.
        error_bars: Whether a calibration that lies beside the weights gives the engine error bars. Without them it is
            not looked at, as what makes another one in its place must not.

    Returns:
        The engine.

    Raises:
        CheckpointError: The weights cannot be read, or the engine that was asked for is not compiled for them, or it is
            damaged and PyTorch, which would take its place, is not here.
        InvalidEvent: There is no GPU that PyTorch can use.
    """
    if error_bars:
        engine = load(path, threads, name, on_fallback, device, on_damage, error_bars=False)
        return calibrated(engine, path, on_fallback)
    assert name in ENGINE_NAMES[device]
    if name == "onnx":
        return _onnx(path, threads)
    if name == "bf16":
        engine_files.find(path, name, device)
    if name in ("eager", "bf16") or device == "cuda":
        if is_onnx(path):
            raise CheckpointError(f"{path} is an ONNX file: use INFERENCE_ENGINE=onnx, or auto, on the processor")
        return _pytorch(path, threads, device, bf16=name == "bf16")
    precision: Precision = "int8" if name == "int8" else "float32"
    try:
        folder, record = engine_files.find(path, precision)
        return Fast(folder, threads, record.parameters_mb, precision, digests=record.digests)
    except CheckpointError as error:
        if name == "auto" and is_onnx(path):
            return _onnx(path, threads)
        if name != "auto":
            raise
        reason, damaged = str(error), error.damaged
    engine = _pytorch(path, threads, reason=f"{reason}; ")
    instead = f"eager PyTorch predicts: {reason}"
    if damaged:
        on_damage(instead)
    on_fallback(instead)
    return engine


def _onnx(path: Path, threads: int) -> Engine:
    from lambda_image.model.onnx import load_onnx  # no other engine needs to know of such files

    return load_onnx(path, threads)


def _pytorch(path: Path, threads: int, device: Device = "cpu", bf16: bool = False, reason: str = "") -> Engine:
    if find_spec("torch") is None:
        raise CheckpointError(
            f"{reason}PyTorch, which would predict, is not installed here (an image of its own has it)"
        )
    from lambda_image.model import checkpoint
    from lambda_image.model.eager import Eager

    return Eager(checkpoint.load(path), threads, device, bf16)
