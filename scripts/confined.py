"""Checks an ONNX file in a process of its own, which ends where it takes too much memory or time.

What a file's operators compute cannot be known before they do. A file of a kilobyte may ask for a tensor of a terabyte.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

from lambda_image import process
from lambda_image.data.sizes import Sizes
from lambda_image.errors import CheckpointError
from lambda_image.model.onnx import load_onnx
from lambda_image.model.onnx_check import BATCHES

MEMORY_BYTES = 6 << 30  # of addresses: for 512 galaxies at a time, where a rank on Lambda has 3 to 10 GB
FILE_COPIES = 4  # of the file, in memory at the same time
TIMEOUT_S = 180.0  # a network that predicts 3 galaxies in a second on two processors would take as long
ROOT = Path(__file__).resolve().parents[1]


def check_confined(path: Path, memory_bytes: int = MEMORY_BYTES, timeout_s: float = TIMEOUT_S) -> Sizes:
    """Checks that ranks can use an ONNX file.

    Args:
        path: the file.
        memory_bytes: what the check may take, beside some copies of the file.
        timeout_s: how long it may take.

    Returns:
        What its network takes.

    Raises:
        CheckpointError: the file is refused, or its network takes too much.
    """

    def refusal(problem: str) -> CheckpointError:
        return CheckpointError(f"model {path}: {problem}", path=str(path))

    command = [sys.executable, "-m", "scripts.confined", os.fspath(path.absolute()), str(memory_bytes)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, cwd=ROOT, check=False)
    except subprocess.TimeoutExpired:
        raise refusal(f"its network took longer than {timeout_s:g} s for batches of 1, 7 and 512 galaxies") from None
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        end = signal.Signals(-done.returncode).name if done.returncode < 0 else f"status {done.returncode}"
        raise refusal(
            f"the check of its network ended with {end}, perhaps for more memory than {memory_bytes >> 20:,} MB"
        ) from None
    if "error" in answer:
        raise CheckpointError(answer["error"].replace(os.fspath(path.absolute()), os.fspath(path)), path=str(path))
    return Sizes(**answer)


def _main(path: Path, memory_bytes: int) -> None:
    size = path.stat().st_size if path.exists() else 0
    limit = memory_bytes + FILE_COPIES * size
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answer: dict[str, int | str]
    try:
        sizes = load_onnx(path, process.usable_cpus(), BATCHES).sizes
        answer = {"bands": sizes.bands, "side": sizes.side, "magnitudes": sizes.magnitudes}
    except CheckpointError as error:
        answer = {"error": str(error)}
    except MemoryError:
        answer = {"error": f"model {path}: its network takes more than {memory_bytes >> 20:,} MB for 512 galaxies"}
    print(json.dumps(answer))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]))
