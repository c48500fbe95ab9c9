"""The images, built, and the system of docker-compose.yml, up. Without them one skip says why for all."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# What testcontainers reads when it is imported. Its watchdog is an image that would have to be pulled; what is started
# here is stopped here, and published ports are on this machine.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
os.environ.setdefault("TESTCONTAINERS_CONNECTION_MODE", "docker_host")
os.environ.setdefault("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1")

from tests.docker.composition import Composition
from tests.docker.images import BUILD_LIMIT_S, MUST_BE_BUILT, build, engine_missing
from tests.integration.system import write_galaxies

_MISSING = pytest.StashKey[bool]()
_SAYS_WHY = pytest.StashKey[str]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.docker)
            item.add_marker(pytest.mark.timeout(BUILD_LIMIT_S))  # the first one waits for the images


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(
    report: pytest.CollectReport | pytest.TestReport, config: pytest.Config
) -> tuple[str, str, str] | None:
    """Counts a test that lacks its images as deselected, once another one has said why."""
    if config.stash.get(_MISSING, False) and report.when == "setup" and report.nodeid.startswith("tests/docker/"):
        first = config.stash.setdefault(_SAYS_WHY, report.nodeid)
        return None if report.nodeid == first else ("deselected", "", "")
    return None


@pytest.fixture(scope="session")
def images(pytestconfig: pytest.Config) -> None:
    """Builds what is not built; from the cache in seconds."""
    pytestconfig.stash[_MISSING] = True
    if reason := engine_missing():
        pytest.skip(f"no tests of the images: {reason}")
    if reason := build():
        if os.environ.get(MUST_BE_BUILT):
            pytest.fail(reason, pytrace=False)
        pytest.skip(f"no tests of the images: {reason}")
    pytestconfig.stash[_MISSING] = False


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
