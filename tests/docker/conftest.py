"""The images, built, and the system of docker-compose.yml, up. Without an engine all is skipped, and says so."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

# What testcontainers reads when it is imported. Its watchdog is an image that would have to be pulled; what is started
# here is stopped here, and published ports are on this machine.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
os.environ.setdefault("TESTCONTAINERS_CONNECTION_MODE", "docker_host")
os.environ.setdefault("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1")

from tests.docker.composition import ROOT, Composition
from tests.integration.system import write_galaxies

BUILD_LIMIT_S = 900.0  # all of it from nothing takes 200 s on two cores
MISSING = "no tests of the images"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.docker)
            item.add_marker(pytest.mark.timeout(BUILD_LIMIT_S))  # the first one waits for the images


@pytest.fixture(scope="session")
def images() -> None:
    """Builds what is not built; from the cache in seconds."""
    for check in (["docker", "version", "--format", "{{.Server.Version}}"], ["docker", "compose", "version"]):
        try:
            subprocess.run(check, capture_output=True, text=True, timeout=30, check=True)
        except FileNotFoundError:
            pytest.skip(f"there is no docker command: {MISSING}")
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            said = str(getattr(error, "stderr", "")).strip() or str(error)
            pytest.skip(f"`{' '.join(check)}`: {said.splitlines()[0]}: {MISSING}")
    for target in ("slim", "pytorch"):
        environ = {**os.environ, "LAMBDA_TARGET": target}
        command = ["docker", "compose", "build", *([] if target == "slim" else ["rank"])]
        built = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=BUILD_LIMIT_S)
        assert built.returncode == 0, built.stderr[-3000:]


@pytest.fixture(scope="session")
def _composition(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composition]:
    with Composition(tmp_path_factory.mktemp("composition"), WORLD_SIZE="4", RANK_MEMORY_MB="512") as composition:
        yield composition


@pytest.fixture
def composition(_composition: Composition) -> Composition:
    """With four ranks, all of them waiting for work."""
    _composition.wait_until_ready()
    return _composition


@pytest.fixture(scope="session")
def galaxies(tmp_path_factory: pytest.TempPathFactory, _composition: Composition) -> Path:
    """A folder of 5 partitions of 30 galaxies, which are also under `galaxies` on the composition's S3."""
    folder = write_galaxies(tmp_path_factory.mktemp("galaxies"), 5, 30)
    _composition.system.upload(folder, "galaxies")
    return folder
