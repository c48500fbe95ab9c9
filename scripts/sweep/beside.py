"""One process of this machine that infers what a sweep infers, in batches of each size, as the documents held them."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from lambda_image.atomic_file import atomic_file
from lambda_image.errors import RunError
from scripts.sweep import data
from scripts.sweep.configuration import DATA_SIZES, Configuration
from statemachine.local.child import command

FOLDER = "local"  # in that of the sweep


def local_results(sweep: Path) -> list[Path]:
    """Finds the `Results.json` of each batch size that was measured beside a sweep, from the smallest batch on."""
    return sorted((sweep / FOLDER).glob("*.json"), key=lambda file: (len(file.stem), file.stem))


def infer_beside(sweep: Path, batch_sizes: Sequence[int], say: Callable[[str], None]) -> None:
    """Infers the documents' 1,253 galaxies by `cosmicai infer`, in batches of each size that was not measured yet.

    Args:
        sweep: The folder of the sweep.
        batch_sizes: The sizes.
        say: Is told of each that has been measured.

    Raises:
        RunError: The command failed.
        OSError: The results cannot be written.
    """
    folder = sweep / FOLDER
    left = [size for size in sorted(set(batch_sizes)) if not (folder / f"{size}.json").is_file()]
    if not left:
        return
    with tempfile.TemporaryDirectory(prefix="cosmicai-") as scratch:
        (file,) = data.make(Configuration(1, 1, DATA_SIZES["large"]), Path(scratch) / "data")
        for size in left:
            found, out = Path(scratch) / f"{size}.json", Path(scratch) / f"{size}.parquet"
            words = ["scripts", "infer", str(file), "--batch-size", str(size), "--json", str(found), "--out", str(out)]
            ended = subprocess.run(command(*words), capture_output=True, text=True)
            if ended.returncode:
                raise RunError(f"cosmicai infer --batch-size {size} failed: {ended.stderr.strip()}")
            with atomic_file(folder / found.name) as partial:
                shutil.copyfile(found, partial)
            say(f"this machine alone, batches of {size:,}: done")
