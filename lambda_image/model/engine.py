"""Engines predict redshifts from arrays. Which one does is a setting; `eager` is the reference.

PyTorch is imported only where it predicts: importing it takes longer than the compiled engine's whole start.
"""

import logging
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lambda_image import process
from lambda_image.data.quality import UNPREDICTABLE, Flags, Quality, judge_inputs, known_redshifts
from lambda_image.errors import CheckpointError
from lambda_image.model import SHIPPED_MODEL, engine_files
from lambda_image.model.engine_files import ENGINE_NAMES, Device, EngineName, Precision
from lambda_image.model.fast import Fast
from lambda_image.model.inputs import as_inputs


class Engine(Protocol):
    """Predicts redshifts from images and magnitudes.

    Attributes:
        name: Which engine it is: fast, int8, eager or bf16.
        device: Where it computes: cpu or cuda.
        parameters_mb: Size of the weights in MB of 2**20 bytes.
        image: Shape of one image that it takes, which is (5, 32, 32) for the published network.
    """

    name: str
    device: Device
    parameters_mb: float
    image: tuple[int, int, int]

    def predict(self, images: ArrayLike, magnitudes: ArrayLike) -> NDArray[np.float32]:
        """Predicts the redshifts of N galaxies, which may be none.

        The engine of `load_engine` answers NaN where a redshift would mean nothing, as a run does. This concerns
        galaxies with a pixel or a magnitude that is not finite or a placeholder such as -9999. `quality` tells them.

        Args:
            images: [N, 5, 32, 32] in nanomaggies per pixel, bands u, g, r, i, z. Any type of real numbers will do.
                Images [N, 64, 64, 5], as files may hold them, are cut out and transposed by `read_dataset`.
            magnitudes: [N, 5], in the same bands.

        Returns:
            Redshifts float32 [N], NaN where there is none.

        Raises:
            ValueError: The shapes are not these, or the values are not real numbers.
        """
        ...


class JudgingEngine:
    """Predicts as another engine does, and answers NaN for galaxies that cannot be judged."""

    def __init__(self, engine: Engine) -> None:
        self.name, self.device, self.parameters_mb, self.image = (
            engine.name,
            engine.device,
            engine.parameters_mb,
            engine.image,
        )
        self._engine = engine

    def predict(self, images: ArrayLike, magnitudes: ArrayLike) -> NDArray[np.float32]:
        """Predicts redshifts, as `Engine.predict` says."""
        bands, side, _ = self.image
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and judged so
            arrays = as_inputs(images, magnitudes, bands, side)
        return predict_judged(self._engine, *arrays)[0]


def predict_judged(
    engine: Engine, images: NDArray[np.float32], magnitudes: NDArray[np.float32]
) -> tuple[NDArray[np.float32], Flags]:
    """Predicts redshifts where they mean something.

    Args:
        engine: What predicts. It is given zeros in the place of rows that cannot be judged, so that no other row can
            depend on what they hold.
        images: Float32 [N, 5, 32, 32], nanomaggies per pixel.
        magnitudes: Float32 [N, 5].

    Returns:
        Redshifts float32 [N], NaN where a row cannot be judged, and the rows' flags [N].
    """
    flags = judge_inputs(images, magnitudes)
    bad = (flags & UNPREDICTABLE) != 0
    if bad.any():
        images, magnitudes = images.copy(), magnitudes.copy()
        images[bad], magnitudes[bad] = 0, 0
    redshifts = engine.predict(images, magnitudes)
    finite = np.isfinite(redshifts)
    flags[~bad & ~finite] |= Quality.PREDICTION_NOT_FINITE
    flags[~bad & finite & ~known_redshifts(redshifts)] |= Quality.PREDICTION_IMPLAUSIBLE
    if (flags & UNPREDICTABLE).any():
        redshifts = np.where(flags & UNPREDICTABLE, np.float32(np.nan), redshifts)
    return redshifts, flags


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
        path: The weights, a checkpoint in this project's format. The default is the weights that ship with it.
        threads: How many threads compute. The default is one for each CPU that this process may use.
        engine: `fast` is the compiled engine and `int8` its variant of low precision. `eager` is PyTorch and `bf16` its
            variant of low precision. `auto` is `fast` where that is compiled for these weights, and else `eager`.
        device: `cpu`, or `cuda` for PyTorch on a GPU.

    Returns:
        The engine.

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
    return JudgingEngine(load(Path(path), count, engine, logging.getLogger("lambda_image").warning, device))


def load(
    path: Path,
    threads: int,
    name: EngineName = "auto",
    on_fallback: Callable[[str], None] = lambda reason: None,
    device: Device = "cpu",
    on_damage: Callable[[str], None] = lambda reason: None,
) -> Engine:
    """Loads weights into an engine, as `load_engine` does, with every setting given and no judgement of galaxies.

    Args:
        path: The weights, a checkpoint in this project's format.
        threads: How many threads compute.
        name: Which engine.
        on_fallback: Is called with the reason where `auto` is `eager` and not `fast`.
        device: Where the engine computes.
        on_damage: Is called with the reason, too, where `fast` is there and not what was compiled.

    Returns:
        The engine.

    Raises:
        CheckpointError: The weights cannot be read, or the engine that was asked for is not compiled for them, or it is
            damaged and PyTorch, which would take its place, is not here.
        InvalidEvent: There is no GPU that PyTorch can use.
    """
    assert name in ENGINE_NAMES[device]
    if name == "bf16":
        engine_files.find(path, name, device)
    if name in ("eager", "bf16") or device == "cuda":
        return _pytorch(path, threads, device, bf16=name == "bf16")
    precision: Precision = "int8" if name == "int8" else "float32"
    try:
        folder, record = engine_files.find(path, precision)
        return Fast(folder, threads, record.parameters_mb, precision, digests=record.digests)
    except CheckpointError as error:
        if name != "auto":
            raise
        reason, damaged = str(error), error.damaged
    engine = _pytorch(path, threads, reason=f"{reason}; ")
    instead = f"eager PyTorch predicts: {reason}"
    if damaged:
        on_damage(instead)
    on_fallback(instead)
    return engine


def _pytorch(path: Path, threads: int, device: Device = "cpu", bf16: bool = False, reason: str = "") -> Engine:
    if find_spec("torch") is None:
        raise CheckpointError(
            f"{reason}PyTorch, which would predict, is not installed here (an image of its own has it)"
        )
    from lambda_image.model import checkpoint
    from lambda_image.model.eager import Eager

    return Eager(checkpoint.load(path), threads, device, bf16)
