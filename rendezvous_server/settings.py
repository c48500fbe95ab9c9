"""The server's settings: flags over environment over defaults, read once. The key comes from the environment or a file
only: a command line is for everybody to read."""

import argparse
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from rendezvous_server.protocol import key_from_text
from rendezvous_server.registry import Limits

DEFAULT_HOST = "0.0.0.0"  # noqa: S104 - a rendezvous server is there to be reached
DEFAULT_PORT = 10_000

# A connection that reads too slowly is dropped when so much is held back for it. The largest table (10,000 ranks with 8
# IPv6 endpoints each) has 1.8 MB, and is one string for all members of its group.
WRITE_BUFFER_BYTES = 4 * 1024 * 1024

HELP = {
    "max_connections": "connections at a time",
    "max_connections_per_address": "connections at a time from one address (an IPv6 /64 is one)",
    "max_groups": "groups at a time",
    "join_burst": "joins from one address at once",
    "join_rate": "joins per second from one address after that",
    "handshake_timeout_s": "for a new connection to say what it wants",
    "pairing_timeout_s": "for the partner of a pairing name to come",
    "group_timeout_s": "for a group to be complete",
    "ping_interval_s": "between pings to a member",
    "ping_timeout_s": "without a sign of life, after which a member is gone",
    "close_timeout_s": "for a client to read its last word",
    "shutdown_grace_s": "after SIGTERM for pairs that have connected to meet",
}


@dataclass(frozen=True, slots=True)
class Settings:
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    key: bytes | None = field(default=None, repr=False)
    limits: Limits = field(default_factory=Limits)
    write_buffer_bytes: int = WRITE_BUFFER_BYTES


def read_settings(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """SystemExit, as argparse does it, for --help and for a value that is no good; the message names its flag."""
    parser = argparse.ArgumentParser(
        prog="python -m rendezvous_server",
        description="Introduces ranks to each other: groups, and pairs of TCPunch or FMI clients, on one port.",
        epilog="Each flag has a variable: RENDEZVOUS_PORT for --port and so on. The key that joins are authenticated "
        "with is RENDEZVOUS_KEY, or the content of the key file; without either, everybody may join. "
        "Example: RENDEZVOUS_KEY_FILE=/run/secrets/key python -m rendezvous_server --port 10000",
    )

    def flag(name: str, kind: Callable[[str], object], default: object, text: str) -> None:
        variable = f"RENDEZVOUS_{name.upper()}"
        value = default
        if environ.get(variable):
            try:
                value = kind(environ[variable])
            except argparse.ArgumentTypeError as error:
                parser.error(f"variable {variable}: {error}")
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=value, help=f"{text} (default {default})")

    flag("host", str, DEFAULT_HOST, "address to listen on; :: is IPv6 and IPv4")
    flag("port", _port, DEFAULT_PORT, "port to listen on; 0 takes a free one, which the first log line names")
    flag("key_file", Path, None, "file that holds the key")
    for limit in dataclasses.fields(Limits):
        unit = "seconds " if limit.name.endswith("_s") else ""
        flag(limit.name, _positive(type(limit.default)), limit.default, unit + HELP[limit.name])
    given = vars(parser.parse_args(argv))

    limits = Limits(**{limit.name: given[limit.name] for limit in dataclasses.fields(Limits)})
    if limits.ping_timeout_s <= limits.ping_interval_s:
        parser.error("--ping-timeout-s must be greater than --ping-interval-s, or every member is taken for dead")
    try:
        key = _read_key(environ.get("RENDEZVOUS_KEY", ""), given["key_file"])
    except ValueError as error:
        parser.error(str(error))
    return Settings(given["host"], given["port"], key, limits)


def _read_key(text: str, file: Path | None) -> bytes | None:
    if file is None:
        return key_from_text(text)
    if text.strip():
        raise ValueError("both RENDEZVOUS_KEY and a key file are given: which one is meant?")
    try:
        key = key_from_text(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the key file {file} cannot be read as text: {error}") from error
    if key is None:
        raise ValueError(f"the key file {file} is empty")
    return key


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 to 65535")
    return int(text)


def _positive(kind: type) -> Callable[[str], float]:
    def number(text: str) -> float:
        try:
            value: float = kind(text)
        except ValueError:
            value = -1
        if not 0 < value < inf:
            what = "whole number" if kind is int else "finite number"
            raise argparse.ArgumentTypeError(f"{text!r} is not a {what} greater than 0")
        return value

    return number
