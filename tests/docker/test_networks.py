"""Two networks of which neither reaches the other: what their ranks say to each other goes through the server."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from testcontainers.core.network import Network

from scripts.aws_endpoint import AwsEndpoint
from tests.docker.composition import PATIENCE_S
from tests.docker.workers import endpoint_container, rendezvous_container, worker
from tests.integration.system import Events, System, write_galaxies


@pytest.fixture(scope="module")
def system(images: None) -> Iterator[System]:
    """AwsEndpoint and rendezvous server are in both networks, a rank in each."""
    with ExitStack() as stack:
        one, other = stack.enter_context(Network()), stack.enter_context(Network())
        rendezvous, aws = rendezvous_container(one), endpoint_container(one)
        for name, container in (("rendezvous", rendezvous), ("endpoint", aws)):
            stack.enter_context(container)
            other.connect(container.get_container_id(), [name])
        endpoint = AwsEndpoint(f"http://127.0.0.1:{aws.get_exposed_port(4566)}")
        endpoint.wait_until_listening(PATIENCE_S)
        for function, network in (("init", one), ("summarize", one), ("rank", one), ("rank", other)):
            stack.enter_context(worker(function, network))
        endpoint.wait_until_ready(2, PATIENCE_S)
        yield System(endpoint, Events())


def test_ranks_that_cannot_reach_each_other_gather_through_the_relay(system: System, tmp_path):
    system.upload(write_galaxies(tmp_path, 2, 20), "galaxies")
    described = system.run(data_prefix="galaxies", world_size=2, result_path="results/relayed")
    assert described["status"] == "SUCCEEDED", described.get("cause")
    assert system.json("results/relayed/summary.json")["transports"] == {"self": 1, "relayed": 1}
    assert len(system.predictions("results/relayed").redshift) == 40
