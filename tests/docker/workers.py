"""Containers of the images one by one, where a test needs another arrangement than docker-compose.yml has."""

from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

RENDEZVOUS_KEY = "00" * 32
ENVIRONMENT = {
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_ENDPOINT_URL": "http://endpoint:4566",
    "RENDEZVOUS_ENDPOINT": "rendezvous:10000",
    "RENDEZVOUS_KEY": RENDEZVOUS_KEY,
}
PORTS = {"init": 9001, "rank": 9002, "summarize": 9003}  # as in statemachine/local/outside.json


def worker(function: str, network: Network, image: str = "cosmicai-lambda:full") -> DockerContainer:
    container = DockerContainer(image).with_network(network)
    container.with_envs(**ENVIRONMENT, AWS_LAMBDA_RUNTIME_API=f"endpoint:{PORTS[function]}")
    return container.with_command(f"lambda_image.handlers.{function}.handler").with_kwargs(init=True, read_only=True)


def endpoint_container(network: Network) -> DockerContainer:
    container = DockerContainer("cosmicai-local").with_exposed_ports(4566).with_kwargs(init=True)
    return container.with_network(network).with_network_aliases("endpoint")


def rendezvous_container(network: Network) -> DockerContainer:
    container = DockerContainer("cosmicai-rendezvous").with_env("RENDEZVOUS_KEY", RENDEZVOUS_KEY)
    return container.with_network(network).with_network_aliases("rendezvous")
