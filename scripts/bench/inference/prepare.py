"""What the contenders need before they start, which is a compiled engine, the model as ONNX, and galaxies."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lambda_image.data.partition import write_partition
from lambda_image.errors import CheckpointError
from lambda_image.model import engine_files
from lambda_image.model.engine_files import LOW_PRECISIONS, Device
from scripts.bench.errors import BenchmarkError
from scripts.bench.inference.contenders import ENGINES, PEERS, Spec
from scripts.bench.processes import run_python
from scripts.galaxies import Mixture, render


@dataclass(frozen=True)
class Prepared:
    """What is ready to be measured. `spec` lacks the name, and `names` are the contenders that can be measured."""

    spec: Spec
    names: Sequence[str]


@contextmanager
def prepared(
    model: Path,
    partition: Path | None,
    galaxies: int,
    threads: int,
    names: Sequence[str],
    say: Callable[[str], None],
    device: Device = "cpu",
) -> Iterator[Prepared]:
    """Make what the contenders need, in a folder that goes afterwards.

    Args:
        model: The weights.
        partition: The galaxies to predict; None stands for sample galaxies.
        galaxies: How many sample galaxies there are.
        threads: The threads of each contender.
        names: The contenders that are asked for.
        say: Tells people what is made and what is left out.
        device: What is measured on.

    Raises:
        BenchmarkError: Something could not be made.
    """
    with tempfile.TemporaryDirectory(prefix="cosmicai-bench-") as made:
        folder = Path(made)
        model, names = _compiled(model.absolute(), folder, names, say, device)
        onnx = folder / "model.onnx"
        if any(name in PEERS for name in names):
            run_python(["-m", "scripts.bench.inference.export", str(model), str(onnx)])
        if partition is None:
            partition = folder / "galaxies.safetensors"
            rng = np.random.default_rng(0)
            magnitudes, redshifts = Mixture.shipped().draw(galaxies, rng)
            write_partition(partition, render(magnitudes, rng), magnitudes, redshifts)
        yield Prepared(Spec("", str(model), str(onnx), str(partition.absolute()), threads, device), names)


def _compiled(
    model: Path, folder: Path, names: Sequence[str], say: Callable[[str], None], device: Device
) -> tuple[Path, Sequence[str]]:
    """The model, or a link to it beside engines made for this run, and the names without refused precisions."""
    if not any(name in ENGINES for name in names):
        return model, names
    low = [name for name in LOW_PRECISIONS if name in names]
    link = folder / model.name
    compiling = ["-m", "scripts", "compile", "--model", str(link), "--device", device]
    try:
        _, record = engine_files.find(model, "float32", device)
        compiling += ["--tolerance", str(record.checks["float32"]["tolerance"])]  # what was allowed these weights
        for precision in low:
            engine_files.find(model, precision, device)
        return model, names
    except CheckpointError as error:
        say(f"{error}: made for this run")
    link.symlink_to(model)
    flags: list[str] = []
    for precision in low:  # one more each time: what is refused leaves what was made before
        try:
            run_python([*compiling, *flags, f"--{precision}"])
            flags.append(f"--{precision}")
        except BenchmarkError as error:
            say(f"{precision} is left out: {error}")
            names = [name for name in names if name != precision]
    if not flags:
        run_python(compiling)
    return link, names
