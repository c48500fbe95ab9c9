"""The server's settings: flags over environment over defaults, read once. The key comes from the environment or a file
only: a command line is for everybody to read."""

import argparse
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from rendezvous_server.limits import Limits
from rendezvous_server.protocol import key_from_text

DEFAULT_HOST = "0.0.0.0"  # noqa: S104 - a rendezvous server is there to be reached
DEFAULT_PORT = 10_000
DEFAULT_HTTP_PORT = 10_080
LAST_PORT = 65_535
OFF = -1  # in the place of a port

# A connection that reads too slowly is dropped when so much is held back for it. The largest table (10,000 ranks with 8
# IPv6 endpoints each) has 1.8 MB, and is one string for all members of its group.
WRITE_BUFFER_BYTES = 4 * 1024 * 1024

HELP = {
    "max_connections": "connections at a time",
    "max_connections_per_address": "connections at a time from one address (an IPv6 /64 is one)",
    "max_groups": "groups at a time",
    "max_relays": "relayed pairs at a time, those that wait for their other end included",
    "join_burst": "joins and relays from one address at once",
    "join_rate": "joins and relays per second from one address after that",
    "relay_max_bytes": "bytes through one relay, both ways together",
    "handshake_timeout_s": "for a new connection to say what it wants",
    "pairing_timeout_s": "for the partner of a pairing name to come",
    "group_timeout_s": "for a group to be complete",
    "relay_timeout_s": "for the other end of a relay to come",
    "relay_idle_timeout_s": "for which a relay may carry nothing",
    "ping_interval_s": "between pings to a member",
    "ping_timeout_s": "without a sign of life, after which a member is gone",
    "close_timeout_s": "for a client to read its final frame",
    "shutdown_grace_s": "after SIGTERM for pairs that have connected to meet and for relays to end",
}


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Holds what an operator may set."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    probe_port: int | None = DEFAULT_PORT + 1  # None: no NAT probe
    http_port: int | None = DEFAULT_HTTP_PORT  # None: no HTTP
    proxy_protocol: bool = False
    key: bytes | None = field(default=None, repr=False)
    limits: Limits = field(default_factory=Limits)
    max_idle_s: float | None = None  # None: it never ends by itself
    write_buffer_bytes: int = WRITE_BUFFER_BYTES


def read_settings(argv: Sequence[str], environ: Mapping[str, str]) -> ServerSettings:
    """Reads the settings from flags and variables.

    Args:
        argv: The flags, without the program's name.
        environ: The variables. A flag wins over its variable.

    Raises:
        SystemExit: With status 0 after --help, with status 2 for a wrong value. The message names the flag or variable.
    """
    parser = _parser(environ)
    given = vars(parser.parse_args(argv))
    limits = Limits(**{limit.name: given[limit.name] for limit in dataclasses.fields(Limits)})
    if limits.ping_timeout_s <= limits.ping_interval_s:
        parser.error("--ping-timeout-s must be greater than --ping-interval-s, or every member is taken for dead")
    try:
        key = _read_key(environ.get("RENDEZVOUS_KEY", ""), given["key_file"])
    except ValueError as error:
        parser.error(str(error))
    port: int = given["port"]
    probe_port, http_port = given["probe_port"], given["http_port"]
    if probe_port is None:
        probe_port = _after(port)
    if http_port is None:
        http_port = DEFAULT_HTTP_PORT if port else 0
    return ServerSettings(
        given["host"],
        port,
        None if probe_port == OFF else probe_port,
        None if http_port == OFF else http_port,
        given["proxy_protocol"],
        key,
        limits,
        None if given["max_idle_s"] == OFF else given["max_idle_s"],
    )


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    """Flags whose defaults are what the variables say."""
    parser = argparse.ArgumentParser(
        prog="python -m rendezvous_server",
        allow_abbrev=False,
        usage="%(prog)s [--port PORT] [--FLAG VALUE ...]    (--help lists all flags)",
        description="Introduces ranks to each other: groups, and pairs of TCPunch or FMI clients, on one port. Relays "
        "what ranks send that cannot reach each other.",
        epilog="Each flag has a variable: RENDEZVOUS_PORT for --port and so on. The key that joins are authenticated "
        "with is RENDEZVOUS_KEY, or the content of the key file; without either, everybody may join. "
        "Example: RENDEZVOUS_KEY_FILE=/run/secrets/key python -m rendezvous_server --port 10000",
    )

    def flag(name: str, kind: Callable[[str], object], metavar: str, default: object, text: str) -> None:
        variable = f"RENDEZVOUS_{name.upper()}"
        value = default
        if environ.get(variable):
            try:
                value = kind(environ[variable])
            except argparse.ArgumentTypeError as error:
                parser.error(f"variable {variable}: {error}")
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=value, metavar=metavar, help=text)

    flag("host", _host, "ADDRESS", DEFAULT_HOST, f"address to listen on; :: is IPv6 and IPv4 (default {DEFAULT_HOST})")
    free = "0 takes a free one, which the first log line names"
    flag("port", _port, "PORT", DEFAULT_PORT, f"port to listen on; {free} (default {DEFAULT_PORT})")
    also_free = "a free one where --port is 0"
    after = f"(default: the one after --port; {also_free})"
    flag(
        "probe_port",
        _port_or_off,
        "PORT",
        None,
        f"second port, by which ranks learn what their NAT does; or off {after}",
    )
    metrics = "/livez, /readyz and /metrics over HTTP"
    flag(
        "http_port", _port_or_off, "PORT", None, f"port of {metrics}; or off (default {DEFAULT_HTTP_PORT}; {also_free})"
    )
    flag(
        "proxy_protocol",
        _flag,
        "true|false",
        False,
        "true if a load balancer puts PROXY protocol v2 headers before everything; false (the default) otherwise, "
        "since clients could claim any address with them",
    )
    flag("key_file", Path, "FILE", None, "file that holds the key")
    flag(
        "max_idle_s",
        _positive_or_off,
        "SECONDS",
        OFF,
        "seconds after which the server ends by itself where no member and no relay has used it; or off (the default)",
    )
    for limit in dataclasses.fields(Limits):
        unit, metavar = ("seconds ", "SECONDS") if limit.name.endswith("_s") else ("", "NUMBER")
        text = f"{unit}{HELP[limit.name]} (default {limit.default:,})"
        flag(limit.name, _positive(type(limit.default)), metavar, limit.default, text)
    return parser


def _after(port: int) -> int:
    """The probe port where none is given."""
    if port == 0:
        return 0
    return port + 1 if port < LAST_PORT else OFF


def _read_key(text: str, file: Path | None) -> bytes | None:
    """By the rules of a rank (lambda_image/settings.py): a key that is read differently opens nothing."""
    if file is None:
        return key_from_text(text)
    if text.strip():
        raise ValueError("both RENDEZVOUS_KEY and a key file are given: which one is meant?")
    try:
        key = key_from_text(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the key file {file} cannot be read as text: {error}") from error
    if key is None:
        raise ValueError(f"the key file {file} is empty")
    return key


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


def _port_or_off(text: str) -> int:
    return OFF if text == "off" else _port(text)


def _positive_or_off(text: str) -> float:
    return OFF if text == "off" else _positive(float)(text)


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text == "true"


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
