"""The processes of a round: a server in the place of S3, and a function that asks it."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from scripts.bench.processes import MeasuredProcess


def start_server(stack: ExitStack, module: str, spec: Mapping[str, Any], limit_s: float) -> MeasuredProcess:
    """Start a server in the place of S3, which is a module here, and ends with the stack."""
    return _start(stack, "the object server", module, spec, dict(os.environ), limit_s)


def start_function(stack: ExitStack, function: str, port: int, limit_s: float) -> MeasuredProcess:
    """Start a function whose S3 is the server at a port of this machine, and which ends with the stack."""
    return start_process(stack, function.capitalize(), "function_process", {"function": function}, port, limit_s)


def start_process(
    stack: ExitStack, name: str, module: str, spec: Mapping[str, Any], port: int, limit_s: float
) -> MeasuredProcess:
    """Start a module here whose S3 is the server at a port of this machine, and which ends with the stack."""
    return _start(stack, name, module, spec, environ_of(port), limit_s)


def start_rank(
    stack: ExitStack, name: str, spec: Mapping[str, Any], port: int, key: str, limit_s: float
) -> MeasuredProcess:
    """Start a rank, which knows the key of the rendezvous server."""
    environ = {**environ_of(port), "RENDEZVOUS_KEY": key}
    return _start(stack, f"the {name} rank", "run_rank_process", spec, environ, limit_s)


def start_crowd(stack: ExitStack, spec: Mapping[str, Any], port: int, key: str, limit_s: float) -> MeasuredProcess:
    """Start a process of many ranks."""
    environ = {**environ_of(port), "RENDEZVOUS_KEY": key}
    return _start(stack, "the process of many ranks", "crowd_process", spec, environ, limit_s)


def environ_of(port: int) -> dict[str, str]:
    """Return the environment of a function whose S3 is a server of this machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RENDEZVOUS_"))}
    return {
        **kept,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _start(
    stack: ExitStack, name: str, module: str, spec: Mapping[str, Any], environ: Mapping[str, str], limit_s: float
) -> MeasuredProcess:
    process = MeasuredProcess(name, f"scripts.bench.scale.{module}", spec, environ, limit_s, quiet=True)
    stack.callback(process.stop)
    return process
