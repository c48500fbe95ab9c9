"""What `make test` says before it begins: how long it takes, and what will be skipped for which reason."""

import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from tests.docker.images import engine_missing
from tests.network.namespace import unavailable

SHARED = Path(__file__).resolve().parents[2] / "shared"
ENGINE_LIMIT_S = 1.0  # for an engine of Docker to answer, which takes milliseconds


def lines() -> Iterator[str]:
    """Yield the lines of the header."""
    yield "The tests take about 8 minutes on two cores: unit 1, integration 4, network 1, docker 2."
    yield "Docker images that are not in its cache take 3 minutes more to build. `pytest tests/unit` is the quick part."
    for what, reason in skipped():
        yield f"This run skips {what}, because {reason}."


def skipped() -> Iterator[tuple[str, str]]:
    """Yield what will be skipped, and why, as far as that can be known in a second."""
    if reason := engine_missing(ENGINE_LIMIT_S):
        yield "tests/docker", reason
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
