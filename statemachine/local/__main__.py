"""`python -m statemachine.local --port 4566 --workers 4`: AWS on this machine, for this project's functions.

The first line on stdout is {"event": "listening", "port": ...}. GET /_local/health says {"ready": true} once every
worker has asked for work. SIGTERM or SIGINT ends the workers and then the endpoint, with status 0. A wrong flag is
status 2, an address that cannot be listened on is status 1, and either is one line on stderr.
"""

import argparse
import asyncio
import json
import math
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from statemachine.local.endpoint import serve
from statemachine.local.settings import (
    FUNCTIONS,
    LAST_PORT,
    FunctionSettings,
    for_this_machine,
    read_functions,
    with_workers,
)


def main(argv: list[str] | None = None) -> int:
    """Runs the endpoint until a signal ends it, and returns the status of the process."""
    parser = argparse.ArgumentParser(
        prog="python -m statemachine.local",
        allow_abbrev=False,
        description="Lambda, Step Functions, S3 and the rest of AWS that a run needs, on one port of this machine.",
        epilog="example: python -m statemachine.local --port 4566 --workers 4",
    )
    parser.add_argument(
        "--host", type=_host, default="127.0.0.1", help="0.0.0.0 lets containers reach it (default: %(default)s)"
    )
    parser.add_argument("--port", type=_port, default=4566, help="0 takes a free one (default: %(default)s)")
    parser.add_argument(
        "--workers",
        type=_workers,
        default=4,
        help="rank workers; 0: all workers come from outside (default: %(default)s)",
    )
    parser.add_argument("--functions", type=Path, metavar="FILE", help="JSON that changes or adds functions")
    parser.add_argument(
        "--concurrency",
        type=_concurrency,
        metavar="N",
        help="the account's quota of invocations at a time, beyond which 429 is answered (default: none)",
    )
    parser.add_argument(
        "--waking",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="functions are inactive at first, and answer 409 until so long after they were first invoked (default: 0)",
    )
    args = parser.parse_args(argv)
    functions = with_workers(FUNCTIONS, args.workers)
    functions = {name: replace(function, waking_s=args.waking) for name, function in functions.items()}
    if args.functions:
        try:
            functions = read_functions(args.functions.read_text(encoding="utf-8"), functions)
        except (OSError, ValueError) as error:
            parser.error(f"--functions {args.functions}: {error}")
    # This process calls itself: moto calls Lambda and S3 at our port, and must find neither a proxy nor a profile.
    environ = for_this_machine(os.environ)
    os.environ.clear()
    os.environ.update(environ)
    try:
        asyncio.run(until_signal(args.host, args.port, functions, args.concurrency))
    except OSError as error:
        print(f"cannot listen: {error}; choose another --port, or runtime_port in --functions", file=sys.stderr)
        return 1
    return 0


def _host(text: str) -> str:
    try:
        text.encode("idna")  # as the resolver will, where no error names the flag
    except UnicodeError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address or a host's name") from None
    return text


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 to {LAST_PORT}")
    return int(text)


def _concurrency(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of invocations: 1 or more")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds: 0 or more")
    return seconds


def _workers(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of workers: 0 or more")
    return int(text)


async def until_signal(
    host: str, port: int, functions: dict[str, FunctionSettings], concurrency: int | None = None
) -> None:
    """Serves until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(host, port, functions, dict(os.environ), emit, stop, concurrency)


def emit(event: dict[str, object]) -> None:
    """Writes an event to stdout as a line of JSON."""
    try:
        print(json.dumps(event), flush=True)
    except BrokenPipeError:  # whoever read the log has gone; what the endpoint serves does not depend on it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # nothing is left to save, and taking moto's modules and threads down in order takes a second
