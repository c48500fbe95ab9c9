"""Ranks in containers with the limits of a function of Lambda: docker-compose.yml, one size of memory after another.

Docker says in its events when the kernel killed a process of a container whose memory ran out. The process is started
anew, as on Lambda, and fails anew. So a run is given up once that happened again.
"""

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from lambda_image.json_text import parse_json
from scripts.aws_endpoint import AwsEndpoint, EndpointError
from scripts.runs.place import place_at
from scripts.runs.run_progress import RunProgress
from scripts.stack.costs import vcpus
from scripts.sweep.configuration import Configuration
from scripts.sweep.folder import FAILED, NOT_RUN, Measured
from scripts.sweep.measure import Measurer

ROOT = Path(__file__).resolve().parents[2]
ANSWER_S = 30.0  # for the engine to say what it is
START_S = 300.0  # for ranks to be up: Python takes a minute where a function has a fourteenth of a CPU
KILLS = 2  # of processes for want of memory, after which a run is given up
ROOM_MB = 1024  # of the machine, for what is no rank
NAME_DIGITS = 8  # of the name of the containers
IMAGE = "slim"  # the image that has the compiled engine alone, as a function would


class OutOfMemory(EndpointError):
    """Processes of the containers were killed, since they needed more memory than they may have."""


@dataclass(frozen=True)
class DockerEngine:
    """A Docker engine that answers."""

    cpus: int
    memory_mb: int


def find_engine() -> DockerEngine | str:
    """Asks for a Docker engine with Compose.

    Returns:
        The engine, or why there is none.
    """
    found = ""
    for question in (["docker", "info", "--format", "{{json .}}"], ["docker", "compose", "version"]):
        try:
            found = (
                found or subprocess.run(question, capture_output=True, text=True, timeout=ANSWER_S, check=True).stdout
            )
        except FileNotFoundError:
            return "there is no docker command"
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            said = str(getattr(error, "stderr", "") or error).strip()
            return f"`{' '.join(question)}`: {said.splitlines()[0]}"
    try:
        told = parse_json(found)
        if errors := told.get("ServerErrors"):
            return str(errors[0])
        return DockerEngine(int(told["NCPU"]), int(told["MemTotal"]) >> 20)
    except (ValueError, KeyError, TypeError, AttributeError):
        return "`docker info` gives no facts"


class OomEvents:
    """Counts the processes of a project's containers that were killed for want of memory.

    Docker is listened to all the time, since it forgets all but its last events.
    """

    def __init__(self, project: str) -> None:
        self._told = tempfile.TemporaryFile()  # noqa: SIM115 - `end` closes it
        filters = ["--filter", "event=oom", "--filter", f"label=com.docker.compose.project={project}"]
        command = ["docker", "events", *filters, "--format", "{{.Actor.Attributes.name}}"]
        self._listener = subprocess.Popen(command, stdout=self._told, stderr=subprocess.DEVNULL)
        self._counted = 0  # of those before, in lines

    def begin(self) -> None:
        """Counts from here on."""
        self._counted = self._lines()

    def count(self) -> int:
        """Tells how many there were since `begin`."""
        return self._lines() - self._counted

    def end(self) -> None:
        """Listens no more."""
        self._listener.kill()
        self._listener.wait()
        self._told.close()

    def _lines(self) -> int:
        return os.pread(self._told.fileno(), os.fstat(self._told.fileno()).st_size, 0).count(b"\n")


@dataclass(frozen=True)
class ContainerEndpoint(AwsEndpoint):
    """The local AWS endpoint whose workers are containers. It knows when one of them ran out of memory."""

    kills: Callable[[], int]
    stays: ClassVar[bool] = False

    def check(self) -> None:
        """Raises OutOfMemory once processes were killed for want of memory as often as KILLS."""
        if (kills := self.kills()) >= KILLS:
            raise OutOfMemory(f"out of memory: {kills} processes were killed")


@dataclass
class ContainerMeasurer:
    """Makes runs whose ranks are containers with the memory of each run, and the CPUs that Lambda gives with it."""

    engine: DockerEngine
    progress: RunProgress
    project: str
    root: Path = ROOT
    start_s: float = START_S
    _built: bool = field(default=False, init=False)
    _url: str | None = field(default=None, init=False)
    _events: OomEvents | None = field(default=None, init=False)

    def run(self, configuration: Configuration) -> Measured:
        """Makes a run, as `scripts.sweep.measure.Measurer` does.

        Raises:
            EndpointError: The containers do not come up, for another reason than their memory.
        """
        if (why := too_large(configuration, self.engine)) is not None:
            return Measured(configuration, NOT_RUN, why)
        endpoint = self._resized(configuration)
        try:
            endpoint.wait_until_ready(configuration.world_size, self.start_s)
        except OutOfMemory as error:
            return Measured(configuration, FAILED, f"{error} before they could work")
        with Measurer(place_at(endpoint), self.progress, endpoint.check) as measurer:
            try:
                measured = measurer.run(configuration)
            except OutOfMemory as error:
                self.down()  # with the run, which would go on in the ranks of the next one
                return Measured(configuration, FAILED, str(error))
        return measured if measured.reason is None else _explained(measured, endpoint)

    def down(self) -> None:
        """Removes the containers, with all that lies in them."""
        if self._events is not None:
            self._events.end()
        self._events = self._url = None
        command = self._command("down", "--volumes", "--timeout=5")
        subprocess.run(command, cwd=self.root, env=self._environ(1, 1024), capture_output=True)

    def _resized(self, configuration: Configuration) -> ContainerEndpoint:
        """Starts all containers, or makes those of the ranks anew with other limits."""
        assert configuration.memory_mb is not None
        environ = self._environ(configuration.world_size, configuration.memory_mb)
        if self._events is None or self._url is None:
            if not self._built:
                self.progress.print("building the images, which takes minutes the first time")
                self._compose(environ, "build")
                self._built = True
            self._events = OomEvents(self.project)
            self._compose(environ, "up", "--detach", "--no-build", "serve")
            where = self._compose(environ, "port", "serve", "4566").strip()
            self._url = f"http://127.0.0.1:{where.rpartition(':')[2]}"
        else:  # the other services stay as they are
            self._compose(environ, "up", "--detach", "--no-build", "--no-deps", "rank")
            self._events.begin()
        return ContainerEndpoint(self._url, self._events.count)

    def _environ(self, ranks: int, memory_mb: int) -> dict[str, str]:
        cpus = max(0.01, min(vcpus(memory_mb), self.engine.cpus))
        return {
            "LAMBDA_TARGET": IMAGE,
            **os.environ,
            "COMPOSE_PROJECT_NAME": self.project,
            "SERVE": "1",
            "ENDPOINT_PORT": "0",
            "WORLD_SIZE": str(ranks),
            "RANK_MEMORY_MB": str(memory_mb),
            "RANK_CPUS": f"{cpus:.2f}",
        }

    def _command(self, *words: str) -> list[str]:
        return ["docker", "compose", *words]

    def _compose(self, environ: Mapping[str, str], *words: str) -> str:
        command = self._command(*words)
        ended = subprocess.run(command, cwd=self.root, env=environ, capture_output=True, text=True)
        if ended.returncode:
            said = (ended.stderr.strip() or ended.stdout.strip() or "no output").splitlines()[-1]
            raise EndpointError(f"`{' '.join(command)}` failed: {said}")
        return ended.stdout


def too_large(configuration: Configuration, engine: DockerEngine) -> str | None:
    """Says why a run does not fit the machine of the engine; None where it does."""
    assert configuration.memory_mb is not None
    needed = configuration.world_size * configuration.memory_mb + ROOM_MB
    if needed <= engine.memory_mb:
        return None
    has = f"the Docker engine has {engine.memory_mb:,} MB"
    return f"its ranks and {ROOM_MB:,} MB beside them need {needed:,} MB, and {has}"


def _explained(measured: Measured, endpoint: ContainerEndpoint) -> Measured:
    """Says that memory ran out where that is why a run failed."""
    if not (kills := endpoint.kills()):
        return measured
    reason = f"out of memory: {kills} processes were killed; {measured.reason}"
    return Measured(measured.configuration, measured.status, reason, measured.summary, measured.records)


@contextmanager
def in_containers(engine: DockerEngine, progress: RunProgress, sweep: Path) -> Iterator[ContainerMeasurer]:
    """Measures in containers, and removes them with the block.

    They are named after the folder of the sweep. So those that a killed sweep has left are taken over by the next.
    """
    name = hashlib.sha256(os.fsencode(sweep.resolve())).hexdigest()[:NAME_DIGITS]
    measurer = ContainerMeasurer(engine, progress, f"cosmicai-sweep-{name}")
    try:
        yield measurer
    finally:
        measurer.down()
