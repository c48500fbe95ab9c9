"""Which engines there are, where what was compiled or checked for a checkpoint lies, and whether it belongs to it.

`cosmicai compile` makes the folder NAME.compiled beside the checkpoint NAME.safetensors: the library (engine.so), the
folded weights of each precision (PRECISION.weights, mapped into memory) and engine.json: what they were made from and
how their answers compare. PyTorch runs the checkpoint itself: of bf16, and on a GPU (NAME.cuda.compiled), only the
latter is kept. Imports nothing heavy.
"""

import hashlib
import json
import os
import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, get_args

from lambda_image.errors import CheckpointError
from lambda_image.json_text import parse_json

Precision = Literal["float32", "int8"]  # of the compiled engine
LowPrecision = Literal["int8", "bf16"]  # used only for weights for which their check is on record
Device = Literal["cpu", "cuda"]
# auto: `fast` where it is compiled, `eager` elsewhere; fast: the compiled engine; int8: it with low-precision products;
# eager: PyTorch, the reference; bf16: PyTorch with low-precision products; onnx: ONNX Runtime, for an ONNX file, which
# auto takes, too.
EngineName = Literal["auto", "fast", "int8", "eager", "bf16", "onnx"]
LOW_PRECISIONS: Sequence[LowPrecision] = get_args(LowPrecision)
DEVICES: Sequence[Device] = get_args(Device)
ENGINE_NAMES: Mapping[Device, Sequence[EngineName]] = {"cpu": get_args(EngineName), "cuda": ("auto", "eager", "bf16")}

MAX_DIFFERENCE = 1e-5  # in redshift, of a float32 engine from the model in float64, unless compiled with another one
IR_VERSION_TAG = b"\x08"  # of the field that every writer of ONNX puts first
LIBRARY, RECORD = "engine.so", "engine.json"
NATIVE = Path(__file__).parent / "native"
SOURCES = ("architecture", "bfloat16", "cxx", "eager", "engine_digests", "fast", "folding", "inputs")


@dataclass(frozen=True)
class Compiled:
    """What engine.json says. `checks` holds, for each precision, how far the answers were from the reference's."""

    checkpoint_sha256: str
    checkpoint_bytes: int
    checkpoint_mtime_ns: int
    sources_sha256: str
    machine: str
    parameters_mb: float
    checks: dict[str, dict[str, float]] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)  # of the files beside it, by their names

    @classmethod
    def of(
        cls,
        checkpoint: Path,
        parameters_mb: float,
        checks: dict[str, dict[str, float]],
        digests: dict[str, str] | None = None,
    ) -> "Compiled":
        stat = checkpoint.stat()
        return cls(
            checkpoint_sha256=file_hash(checkpoint),
            checkpoint_bytes=stat.st_size,
            checkpoint_mtime_ns=stat.st_mtime_ns,
            sources_sha256=sources_hash(),
            machine=platform.machine(),
            parameters_mb=parameters_mb,
            checks=checks,
            digests=digests or {},
        )

    def write(self, folder: Path) -> None:
        (folder / RECORD).write_text(json.dumps(asdict(self), indent=1) + "\n")


def folder_of(checkpoint: Path, device: Device = "cpu") -> Path:
    return checkpoint.with_suffix(".compiled" if device == "cpu" else f".{device}.compiled")


def weights_of(folder: Path, precision: Precision) -> Path:
    return folder / f"{precision}.weights"


def find(
    checkpoint: Path, precision: Precision | LowPrecision = "float32", device: Device = "cpu"
) -> tuple[Path, Compiled]:
    """Folder and record of what was compiled or checked; raises CheckpointError that says why there is none.

    The checkpoint itself may be absent: an image of its own then does without a second copy of the weights.
    """
    folder = folder_of(checkpoint, device)

    def unfit(why: str) -> CheckpointError:
        command = f"cosmicai compile --model {shlex.quote(os.fspath(checkpoint))}"
        command += "" if device == "cpu" else f" --device {device}"
        command += "" if precision == "float32" else f" --{precision}"
        return CheckpointError(
            f"no {precision} engine for checkpoint {checkpoint}: {why}; make it with `{command}`",
            path=os.fspath(checkpoint),
        )

    try:
        compiled = Compiled(**parse_json((folder / RECORD).read_text()))
    except FileNotFoundError:
        raise unfit(f"there is none in {folder}") from None
    except (OSError, ValueError, TypeError) as error:
        raise unfit(f"{folder / RECORD} cannot be read ({error})") from error
    if compiled.machine != platform.machine():
        raise unfit(f"the one in {folder} is for {compiled.machine}, not {platform.machine()}")
    if compiled.sources_sha256 != sources_hash():
        raise unfit(f"the one in {folder} was made by another version")
    if not _same(checkpoint, compiled):
        raise unfit(f"the one in {folder} was made from other weights")
    if precision not in compiled.checks:
        raise unfit(f"the one in {folder} was made without it")
    return folder, compiled


def is_onnx(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file is meant as ONNX, by its name or its first byte.

    Args:
        path: A file, which need not exist.

    Returns:
        True where it ends in .onnx, or begins as ONNX does and not as safetensors.
    """
    path = Path(path)
    if path.suffix.lower() == ".onnx":
        return True
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError:
        return False
    return start.startswith(IR_VERSION_TAG) and not (start[8:] == b"{" and start[5:8] == bytes(3))


def file_hash(path: str | os.PathLike[str]) -> str:
    """SHA-256 of the file, in hexadecimal: what is made from a checkpoint is keyed to it."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_sha256(checkpoint: Path) -> str:
    """SHA-256 of the file of weights. Where an engine has been compiled of it, that is on record."""
    try:
        compiled = Compiled(**parse_json((folder_of(checkpoint) / RECORD).read_text()))
    except (OSError, ValueError, TypeError):
        return file_hash(checkpoint)
    return compiled.checkpoint_sha256 if _same(checkpoint, compiled) else file_hash(checkpoint)


def sources_hash() -> str:
    """SHA-256 over what decides how a checkpoint is compiled, and how it answers."""
    sources = [
        *sorted(NATIVE.iterdir()),
        *(Path(__file__).with_name(f"{name}.py") for name in SOURCES),
    ]
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _same(checkpoint: Path, compiled: Compiled) -> bool:
    """Whether these are the weights; read only if size and time do not tell, since a start should not read them."""
    try:
        stat = checkpoint.stat()
    except FileNotFoundError:
        return True
    if stat.st_size != compiled.checkpoint_bytes:
        return False
    return stat.st_mtime_ns == compiled.checkpoint_mtime_ns or file_hash(checkpoint) == compiled.checkpoint_sha256
