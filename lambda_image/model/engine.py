"""What answers: an engine takes arrays and gives redshifts. Chosen by setting; `eager` is the reference.

PyTorch is imported only where it answers: importing it takes longer than the compiled engine's whole start.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lambda_image.errors import CheckpointError
from lambda_image.model import engine_files
from lambda_image.model.engine_files import ENGINE_NAMES, Device, EngineName, Precision
from lambda_image.model.fast import Fast


class Engine(Protocol):
    name: str  # fast, int8, eager or bf16
    device: Device
    parameters_mb: float

    def predict(self, images: NDArray[Any], magnitudes: NDArray[Any]) -> NDArray[np.float32]:
        """Redshifts [N] of galaxies with `images` float32 [N, 5, 32, 32] and `magnitudes` float32 [N, 5]."""
        ...


def load(
    path: Path,
    threads: int,
    name: EngineName = "auto",
    say: Callable[[str], None] = lambda reason: None,
    device: Device = "cpu",
) -> Engine:
    """The engine for the weights at `path`; `say` hears why `auto` is not `fast`.

    Raises CheckpointError, and InvalidEvent for a GPU that is not there.
    """
    assert name in ENGINE_NAMES[device]
    if name == "bf16":
        engine_files.find(path, name, device)
    if name in ("eager", "bf16") or device == "cuda":
        return _pytorch(path, threads, device, bf16=name == "bf16")
    precision: Precision = "int8" if name == "int8" else "float32"
    try:
        folder, record = engine_files.find(path, precision)
        return Fast(folder, threads, record.parameters_mb, precision)
    except CheckpointError as error:
        if name != "auto":
            raise
        reason = str(error)
    engine = _pytorch(path, threads, reason=f"{reason}; ")
    say(f"eager PyTorch answers: {reason}")
    return engine


def _pytorch(path: Path, threads: int, device: Device = "cpu", bf16: bool = False, reason: str = "") -> Engine:
    if find_spec("torch") is None:
        raise CheckpointError(
            f"{reason}PyTorch, which would answer, is not installed here (an image of its own has it)"
        )
    from lambda_image.model import checkpoint
    from lambda_image.model.eager import Eager

    return Eager(checkpoint.load(path), threads, device, bf16)
