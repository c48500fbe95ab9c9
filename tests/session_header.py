"""What `make test` says before it begins: how long it takes, and what will be skipped for which reason."""

import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from tests.aws.tools import TOOLS
from tests.docker.images import engine_missing
from tests.network.namespace import unavailable

SHARED = Path(__file__).resolve().parents[2] / "shared"
ENGINE_LIMIT_S = 1.0  # for an engine of Docker to answer, which takes milliseconds
MINUTES = {
    "tests/unit": 1,
    "tests/integration": 7,
    "tests/network": 1,
    "tests/faults": 1,
    "tests/aws": 2,
    "tests/docker": 3,
}  # on two cores


def lines() -> Iterator[str]:
    """Yield the lines of the header."""
    reasons = dict(skipped())
    minutes = {folder: minutes for folder, minutes in MINUTES.items() if folder not in reasons}
    each = ", ".join(f"{folder} {minutes}" for folder, minutes in minutes.items())
    yield f"The tests take about {sum(minutes.values())} minutes on two cores ({each})."
    if "tests/docker" in minutes:
        yield "Building images that Docker's cache does not hold takes about 3 minutes more."
    for what, reason in reasons.items():
        yield f"This run skips {what}, because {reason}."


def skipped() -> Iterator[tuple[str, str]]:
    """Yield what will be skipped, and why, as far as that can be known in a second."""
    if reason := engine_missing(ENGINE_LIMIT_S):
        yield "tests/docker", reason
    if not TOOLS.is_dir():
        yield "most of tests/aws", "its tools are not installed: make .venv/aws/ready"
    elif not (TOOLS / "node").is_dir():
        yield "tests of the state machine and of policies by tools of Node.js", "npm was not there to install them"
    if shutil.which("chromium") is None:
        yield "tests of reports in a browser", "chromium is not installed"
    if reason := unavailable():
        yield "tests/network", reason
    if not SHARED.is_dir():
        yield "comparisons with the published model and its data", f"they are not in {SHARED}"
    if metadata.version("torch").endswith("+cpu"):
        yield "tests of a GPU", "the installed PyTorch is built for processors"
    elif not Path("/dev/nvidiactl").exists():
        yield "tests of a GPU", "there is no driver of NVIDIA"
    if shutil.which("g++") is None:
        yield "tests of the native engine", "g++ is not installed"
