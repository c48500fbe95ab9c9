"""`python -m rendezvous_server`: runs until SIGTERM or SIGINT, or until nobody has used it for `--max-idle-s`.

Then it closes in order and exits with status 0.

A wrong setting is status 2, an address that cannot be listened on is status 1, and either is one line on stderr.
"""

import asyncio
import dataclasses
import gc
import os
import resource
import signal
import sys
from collections.abc import Callable

from rendezvous_server.log import Log, to_descriptor
from rendezvous_server.server import RendezvousServer
from rendezvous_server.settings import ServerSettings, read_settings

STDOUT, STDERR = 1, 2
SPARE_FILES = 64  # descriptors for everything that is not a client
# Allocations between two garbage collections. A full one visits every connection, and next to no garbage is in cycles:
# with Python's own 700, a group of 4,096 took a fifth more CPU.
GC_THRESHOLD = 100_000


async def serve(settings: ServerSettings) -> None:
    """Serves until a signal ends it. OSError says which address cannot be listened on."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log = Log(to_descriptor(STDOUT), loop)
    server = RendezvousServer(settings, log)
    await server.listen()
    ends = [asyncio.ensure_future(end) for end in (stop.wait(), server.idle())]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for end in ends:
        end.cancel()
    await server.shut_down()
    log.close()


def within_file_limit(settings: ServerSettings) -> ServerSettings:
    """Raises this process's limit of open files, or lowers the number of connections to what the system allows.

    A server that has no descriptor left could not even refuse.

    Raises:
        OSError: The system allows too few open files for any client.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.limits.max_connections + SPARE_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if wanted <= SPARE_FILES:
        raise OSError(f"this process may have {hard} open files (ulimit -n); more than {SPARE_FILES} are needed")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    limits = dataclasses.replace(settings.limits, max_connections=wanted - SPARE_FILES)
    return dataclasses.replace(settings, limits=limits)


def open_standard_streams() -> None:
    """Opens /dev/null for each of descriptors 0 to 2 that is closed, since uvloop aborts if it gets one of them."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        pass
    os.close(descriptor)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Returns uvloop's, which takes half the CPU per connection, or asyncio's own where uvloop is not installed."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.new_event_loop
    return new_event_loop


def main() -> int:
    """Runs the server, and returns the status of the process."""
    open_standard_streams()
    gc.set_threshold(GC_THRESHOLD)
    settings = read_settings(sys.argv[1:], os.environ)
    try:
        settings = within_file_limit(settings)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(serve(settings))
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
