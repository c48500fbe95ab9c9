"""docker-compose.yml under a name of its own, left up as for `scripts/invoke.sh`, and ways to look into it."""

import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import docker
import numpy as np
from docker.models.containers import Container
from testcontainers.compose import DockerCompose

from lambda_image.data.partition import read_partition
from lambda_image.model import SHIPPED_MODEL, engine
from scripts.aws_endpoint import AwsEndpoint
from tests.integration.system import Events, System

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0  # for whatever must happen; busy machines need it
TOLERANCE = 1e-6  # in redshift, between any two ways to run the same galaxies


class Composition:
    """A context; `variables` are those that the compose file takes from its user."""

    system: System

    def __init__(self, folder: Path, **variables: str) -> None:
        self.project = f"cosmicai-test-{secrets.token_hex(4)}"
        values = {"COMPOSE_PROJECT_NAME": self.project, "ENDPOINT_PORT": "0", "OUT": str(folder / "out")}
        values |= {"SERVE": "1", **variables}
        self.out = folder / "out" / "compose"
        self.world_size = int(values["WORLD_SIZE"])
        (folder / "variables").write_text("".join(f"{name}={value}\n" for name, value in values.items()))
        variables_file = str(folder / "variables")
        self._compose = DockerCompose(ROOT, env_file=variables_file, services=["serve"], wait=False)

    def __enter__(self) -> "Composition":
        try:
            self._compose.start()
            self.endpoint = AwsEndpoint(f"http://127.0.0.1:{self._compose.get_service_port('serve', 4566)}")
            self.wait_until_ready()
            self.system = System(self.endpoint, Events())
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def down(self, plain: bool = False) -> None:
        """As a user types it, or with everything that is left of it."""
        flags = [] if plain else ["--volumes"]
        environ = {name: value for name, value in os.environ.items() if name != "SERVE"}
        command = [*self._command("down"), *flags, "--timeout=5"]
        subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, check=True)

    def up(self) -> subprocess.CompletedProcess[str]:
        """What a user types, to its end."""
        command = [*self._command("up"), "--scale=serve=0", "--exit-code-from=run"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=2 * PATIENCE_S)

    def wait_until_ready(self) -> None:
        self.endpoint.wait_until_ready(self.world_size, PATIENCE_S)

    def containers(self, service: str) -> list[Container]:
        """Of one service, as they are now."""
        labels = [f"com.docker.compose.project={self.project}", f"com.docker.compose.service={service}"]
        return docker.from_env().containers.list(filters={"label": labels})

    def at_work(self, rank: int, since: float) -> Container:
        """The container that infers as this rank, as soon as it has inferred anything. `since`: Unix time."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for container in self.containers("rank"):
                for event in events(container, since):
                    if (event.get("phase"), event.get("rank")) == ("inference", rank) and event.get("samples"):
                        return container
            time.sleep(0.05)
        raise AssertionError(f"rank {rank} did not begin to infer")

    def _command(self, verb: str) -> list[str]:
        return [*self._compose.docker_compose_command(), verb]


def events(container: Container, since: float) -> Iterator[dict[str, Any]]:
    """What the container has logged."""
    for line in container.logs(since=since, stdout=True, stderr=False).decode(errors="replace").splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def in_process(files: Sequence[Path], rows: int | None = None) -> np.ndarray:
    """The redshifts that this very process predicts for the first `rows` of each partition."""
    model, answers = engine.load(SHIPPED_MODEL, threads=1), []
    for file in files:
        partition = read_partition(file, rows=None if rows is None else (0, rows))
        answers.append(model.predict(partition.images, partition.magnitudes))
    return np.concatenate(answers)
