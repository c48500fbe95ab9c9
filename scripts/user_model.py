"""The model that a user names on the command line, made ready for ranks before anything starts."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lambda_image.data.sizes import PUBLISHED, Sizes
from lambda_image.errors import UsageError
from lambda_image.model import SHIPPED_MODEL
from lambda_image.model.calibrated import carry_calibration
from lambda_image.model.calibration import calibration_path
from lambda_image.model.engine_files import Device, EngineName, file_hash, is_onnx
from lambda_image.partition_names import printable
from scripts.user_files import check_there

if TYPE_CHECKING:
    from lambda_image.model.engine import Engine


@dataclass(frozen=True)
class UserModel:
    """A model that ranks can load, and what it takes."""

    path: Path
    sizes: Sizes = PUBLISHED

    def check_sample(self) -> None:
        """Raises UsageError if the sample galaxies are not for this model."""
        takes = self.sizes
        if (takes.bands, takes.side) != (PUBLISHED.bands, PUBLISHED.side) or takes.magnitudes not in (0, takes.bands):
            raise UsageError(f"--model takes {takes}, and the sample galaxies have {PUBLISHED}: give --data")


def usable_model(model: Path | None, scratch: Path, calibrated: bool = True) -> UserModel:
    """Judges a model.

    Args:
        model: a checkpoint in either format, an ONNX file, or None for the shipped checkpoint.
        scratch: a folder for what it has to be converted to.
        calibrated: whether the calibration beside the model goes with it.

    Returns:
        The model, or what it was converted to.

    Raises:
        UsageError: it is not there.
        CheckpointError: it cannot be used.
    """
    if model is None:
        return UserModel(SHIPPED_MODEL)
    check_there("--model", model, "a checkpoint or an ONNX file")
    if is_onnx(model):
        from scripts.confined import check_confined

        return UserModel(model, check_confined(model))
    from lambda_image.model import checkpoint  # here: PyTorch is wanted for a user's own checkpoint only

    if checkpoint.is_converted(model):
        return UserModel(model, checkpoint.load(model).config.sizes)
    config, tensors = checkpoint.convert(model)
    converted = scratch / "model.safetensors"
    checkpoint.save(converted, tensors, config)
    if calibrated and calibration_path(model).exists():
        carry_calibration(calibration_path(model), file_hash(model), converted)
    return UserModel(converted, config.sizes)


def load_usable(
    model: Path | None,
    scratch: Path,
    threads: int,
    name: EngineName,
    device: Device,
    say: Callable[[str], None],
    load: "Callable[..., Engine]",
) -> "Engine":
    """Loads a model into an engine of this process.

    Args:
        model: as of `usable_model`.
        scratch: a folder for what it has to be converted to, which outlives the engine.
        threads: how many threads compute.
        name: which engine.
        device: where it computes.
        say: is told what would make it faster, or give it error bars.
        load: loads the engine, as `lambda_image.model.engine.load` does.

    Returns:
        The engine.

    Raises:
        UsageError: the model is not there.
        CheckpointError: it cannot be used.
    """
    used = usable_model(model, scratch).path
    return load(used, threads, name, lambda reason: say(advice(model, used, reason)), device)


def advice(model: Path | None, used: Path, reason: str) -> str:
    """What to do so that the compiled engine predicts, and that there are error bars.

    Args:
        model: what the user gave.
        used: what `usable_model` made of it, which nobody has after the run.
        reason: why PyTorch predicts or there are no error bars, and what to do about the file `used`.
    """
    if model is None or model == used:
        return reason
    if (copy := str(calibration_path(used))) in reason:
        return reason.replace(copy, printable(calibration_path(model)))
    ending = "-converted.safetensors" if model.suffix == ".safetensors" else ".safetensors"
    ours = printable(model.stem) + ending
    convert, compiled = shlex.join(["convert", printable(model), ours]), shlex.join(["compile", "--model", ours])
    return f"eager PyTorch predicts. `cosmicai {convert}` and `cosmicai {compiled}` make an engine that is faster"
