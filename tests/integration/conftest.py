from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.local_cloud import local_cloud
from tests.integration.rendezvous import Server, Start, servers
from tests.integration.system import WORKERS, Events, System, write_galaxies


@pytest.fixture(scope="session")
def _running() -> Iterator[System]:
    events = Events()
    # Though the shipped weights may be compiled here: some tests act while a rank infers, which should take a while.
    with local_cloud(WORKERS, events, {"INFERENCE_ENGINE": "eager"}) as cloud:
        cloud.wait_until_ready()
        yield System(cloud, events)


@pytest.fixture
def system(_running: System) -> System:
    _running.events.clear()
    return _running


@pytest.fixture(scope="session")
def galaxies(tmp_path_factory: pytest.TempPathFactory, _running: System) -> str:
    """A prefix with 11 partitions of 12 galaxies: 2 comes before 10, and no world size divides them."""
    _running.upload(write_galaxies(tmp_path_factory.mktemp("galaxies"), 11, 12), "galaxies")
    return "galaxies"


@pytest.fixture(scope="session")
def many_galaxies(tmp_path_factory: pytest.TempPathFactory, _running: System) -> str:
    """A prefix with 4 partitions of 300 galaxies: one by one they keep a rank busy for a second and more, so that it is
    still at work when a test has heard that it is, and kills it."""
    _running.upload(write_galaxies(tmp_path_factory.mktemp("many"), 4, 300), "many")
    return "many"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts rendezvous servers, with flags and variables."""
    with servers(tmp_path) as start:
        yield start


@pytest.fixture
def server(start: Start) -> Server:
    return start()
