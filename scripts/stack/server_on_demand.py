"""A rendezvous server for one run: started before it, and stopped after it, however it ends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from lambda_image.address import Address
from scripts.runs.place import Place
from scripts.stack.account import AccountError, explained
from scripts.stack.server_task import NAME_TAG, OF_RUN, PORT, STANDING, ServerTask, ServerTasks

START_S = 45.0  # until a task of a small image is usually ready
# Nobody stops the task of a command that was killed. It must outlast a run's longest silence, the 900 s of a function
# whose ranks have lost it.
MAX_IDLE_S = 1800.0
WITHOUT = "the ranks gather by way of storage"


@contextmanager
def server_on_demand(
    place: Place,
    inference_s: float | None,
    say: Callable[[str], None],
    make_tasks: Callable[[Place], ServerTasks] = ServerTasks,
) -> Iterator[str | None]:
    """Gives a run a rendezvous server within a block, and stops it afterwards, also after Ctrl-C.

    Args:
        place: Where the run takes place.
        inference_s: How long its ranks will work, about, in seconds; None where that is not known. A run that is over
            before a server could be up gets none.
        say: Shows a line of text.
        make_tasks: Makes the tasks of the place.

    Yields:
        What the execution input is to have as `rendezvous_endpoint`. None where it is to have nothing. The ranks then
        use the server that is always there, if there is one, and gather by way of storage otherwise.
    """
    if place.local is not None or "RendezvousEndpoint" in place.outputs:
        yield None  # the functions know of one by their environment
        return
    standing = standing_server(place, make_tasks)
    if standing is None and inference_s is not None and inference_s < START_S:
        say(
            f"no rendezvous server, since one starts in {START_S:.0f} s and ranks work for {inference_s:.0f} s: "
            f"{WITHOUT}"
        )
        yield None
        return
    if standing is not None:
        say(f"rendezvous server {standing}, which is up already")
        yield standing
        return
    started: ServerTask | None = None
    try:
        endpoint = None
        try:
            with explained():
                tasks = make_tasks(place)
                started = tasks.start(OF_RUN, MAX_IDLE_S, {})
                endpoint = endpoint_of(tasks, tasks.wait_until_ready(started, say))
        except AccountError as error:  # a run is worth more than its fastest way
            say(f"warning: {error}. {WITHOUT.capitalize()}")
            if started is not None:
                _stop(tasks, started, say)
                started = None
        if endpoint is not None:
            say(f"rendezvous server {endpoint}, for this run")
        yield endpoint
    finally:
        if started is not None:
            _stop(tasks, started, say)


def standing_server(place: Place, make_tasks: Callable[[Place], ServerTasks] = ServerTasks) -> str | None:
    """Looks for a server that serves many runs, which `cosmicai rendezvous up` has started.

    Returns:
        Its host:port; None where there is none that is ready, or where AWS does not tell.
    """
    try:
        with explained():
            tasks = make_tasks(place)
            found = [task for task in tasks.running() if task.started_by == STANDING and task.ready]
            return next((endpoint for task in found if (endpoint := endpoint_of(tasks, task)) is not None), None)
    except AccountError:
        return None


def endpoint_of(tasks: ServerTasks, task: ServerTask) -> str | None:
    """Returns where the server in a task is reached, by its name if it has one; None where it has no address."""
    addresses = tasks.addresses(task)
    host = task.tags.get(NAME_TAG) or next(iter(addresses), None)
    return None if host is None else str(Address(host, PORT))


def _stop(tasks: ServerTasks, task: ServerTask, say: Callable[[str], None]) -> None:
    try:
        tasks.stop(task)
    except (ClientError, BotoCoreError) as error:
        say(
            f"warning: the rendezvous server of this run was not stopped ({' '.join(str(error).split())}). It ends by "
            f"itself {MAX_IDLE_S / 60:.0f} minutes after its last use, and cosmicai rendezvous down stops it at once"
        )
