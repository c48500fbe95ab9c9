"""Two rendezvous servers at two addresses, without which it does not show what a NAT does."""

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from lambda_image.address import Address
from lambda_image.json_text import parse_json
from scripts.runs.place import Place
from scripts.stack.server_on_demand import endpoint_of
from scripts.stack.server_task import OF_RUN, STANDING, ServerTask, ServerTasks
from statemachine.local.child import command as child_command

MAX_IDLE_S = 300.0  # of a server that nobody stops; the check takes seconds
LOOPBACK = ("127.0.0.1", "127.0.0.2")  # where the system has only the first, one server must do
STOP_S = 10.0


@contextmanager
def servers_for(
    place: Place,
    given: Sequence[str],
    say: Callable[[str], None],
    make_tasks: Callable[[Place], ServerTasks] = ServerTasks,
) -> Iterator[tuple[Address, ...]]:
    """Gives the check its servers, and stops those that it has started.

    Args:
        place: Whose functions are to reach them.
        given: Servers that are there, as host:port; where there are any, none is started.
        say: Shows a line of text.
        make_tasks: Makes the tasks of a stack.

    Yields:
        Their addresses, those of both ports of a server where both are known. There are none where a local endpoint is
        on another machine and nobody gave any.

    Raises:
        AccountError: AWS cannot start one.
    """
    with ExitStack() as stack:
        if given:
            yield tuple(map(Address.parse, given))
        elif place.local is not None:
            yield tuple(_local(stack, place))
        else:
            yield tuple(_of_stack(stack, make_tasks(place), say))


def _local(stack: ExitStack, place: Place) -> Iterator[Address]:
    """Processes of this machine. They have no key, so that workers come with whatever key they have."""
    if urlsplit(place.local.endpoint_url if place.local else "").hostname not in ("localhost", *LOOPBACK):
        return
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RENDEZVOUS_")}
    for host in LOOPBACK:
        command = ["rendezvous_server", "--host", host, "--port", "0", "--http-port", "off"]
        process = subprocess.Popen(
            child_command(*command, "--max-idle-s", f"{MAX_IDLE_S:g}"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environ,
            cwd=Path(__file__).parents[2],
        )
        stack.callback(_end, process)
        assert process.stdout is not None
        with suppress(ValueError):  # an address that this system does not have
            listening = parse_json(process.stdout.readline())
            yield Address(host, listening["port"])
            yield Address(host, listening["probe_port"])


def _end(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    assert process.stdout is not None
    process.stdout.close()


def _of_stack(stack: ExitStack, tasks: ServerTasks, say: Callable[[str], None]) -> list[Address]:
    outputs = tasks.place.outputs
    found = [outputs["RendezvousEndpoint"]] if "RendezvousEndpoint" in outputs else []
    standing = [task for task in tasks.running() if task.started_by == STANDING and task.ready]
    found += [endpoint for task in standing if (endpoint := endpoint_of(tasks, task)) is not None]
    started: list[ServerTask] = []
    for _ in range(len(LOOPBACK) - len(found)):
        task = tasks.start(OF_RUN, MAX_IDLE_S, {})
        stack.callback(_stop, tasks, task, say)
        started.append(task)
    ready = [endpoint_of(tasks, tasks.wait_until_ready(task, say)) for task in started]
    known = [Address.parse(endpoint) for endpoint in (*found, *ready) if endpoint is not None]
    return [Address(host, each) for host, port in known[: len(LOOPBACK)] for each in (port, port + 1)]


def _stop(tasks: ServerTasks, task: ServerTask, say: Callable[[str], None]) -> None:
    try:
        tasks.stop(task)
    except (ClientError, BotoCoreError) as error:
        say(f"note: a rendezvous server was not stopped ({error}): it ends by itself, or by cosmicai rendezvous down")
