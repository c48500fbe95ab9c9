"""Where the compiled engine of a checkpoint lies, and whether it belongs to it. Imports nothing heavy.

`cosmicai compile` makes the folder NAME.compiled beside the checkpoint NAME.safetensors: the library (engine.so), the
folded weights of each precision (PRECISION.weights, mapped into memory) and engine.json: what they were made from.
"""

import hashlib
import json
import os
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from lambda_image.errors import CheckpointError

Precision = Literal["float32", "int8"]
# auto: `fast` where it is compiled, `eager` elsewhere; fast: the compiled engine; int8: it with low-precision products;
# eager: PyTorch, the reference.
EngineName = Literal["auto", "fast", "int8", "eager"]
ENGINE_NAMES: tuple[EngineName, ...] = get_args(EngineName)

LIBRARY, RECORD = "engine.so", "engine.json"
NATIVE = Path(__file__).parent / "native"
MAKE_IT = "make it with `cosmicai compile`"


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

    @classmethod
    def of(cls, checkpoint: Path, parameters_mb: float, checks: dict[str, dict[str, float]]) -> "Compiled":
        stat = checkpoint.stat()
        return cls(
            checkpoint_sha256=file_hash(checkpoint),
            checkpoint_bytes=stat.st_size,
            checkpoint_mtime_ns=stat.st_mtime_ns,
            sources_sha256=sources_hash(),
            machine=platform.machine(),
            parameters_mb=parameters_mb,
            checks=checks,
        )

    def write(self, folder: Path) -> None:
        (folder / RECORD).write_text(json.dumps(asdict(self), indent=1) + "\n")


def folder_of(checkpoint: Path) -> Path:
    return checkpoint.with_suffix(".compiled")


def weights_of(folder: Path, precision: Precision) -> Path:
    return folder / f"{precision}.weights"


def find(checkpoint: Path, precision: Precision = "float32") -> tuple[Path, Compiled]:
    """Folder and record of the engine compiled from `checkpoint`; raises CheckpointError that says why there is none.

    The checkpoint itself may be absent: an image of its own then does without a second copy of the weights.
    """
    folder = folder_of(checkpoint)
    try:
        compiled = Compiled(**json.loads((folder / RECORD).read_text()))
    except FileNotFoundError:
        raise _unfit(checkpoint, f"there is none in {folder}") from None
    except (OSError, ValueError, TypeError) as error:
        raise _unfit(checkpoint, f"{folder / RECORD} cannot be read ({error})") from error
    if compiled.machine != platform.machine():
        raise _unfit(checkpoint, f"the one in {folder} is for {compiled.machine}, not {platform.machine()}")
    if compiled.sources_sha256 != sources_hash():
        raise _unfit(checkpoint, f"the one in {folder} was made by another version")
    if not _same(checkpoint, compiled):
        raise _unfit(checkpoint, f"the one in {folder} was made from other weights")
    if precision not in compiled.checks:
        raise _unfit(checkpoint, f"the one in {folder} has no {precision} weights", f"{MAKE_IT} --{precision}")
    return folder, compiled


def file_hash(path: str | os.PathLike[str]) -> str:
    """SHA-256 of the file, in hexadecimal: what is made from a checkpoint is keyed to it."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sources_hash() -> str:
    """SHA-256 over what decides how a checkpoint is compiled."""
    sources = [
        *sorted(NATIVE.iterdir()),
        *(Path(__file__).with_name(f"{name}.py") for name in ("folding", "fast", "compiler")),
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


def _unfit(checkpoint: Path, why: str, mend: str = MAKE_IT) -> CheckpointError:
    details: dict[str, Any] = {"path": os.fspath(checkpoint)}
    return CheckpointError(f"no compiled engine for checkpoint {checkpoint}: {why}; {mend}", **details)
