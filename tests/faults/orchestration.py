"""Faults of what starts functions and runs: refused starts, names and paths that are used twice, a killed endpoint."""

import os
import re
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from botocore.exceptions import ClientError

from lambda_image.summary import message_of
from tests.faults.bed import EACH, RANKS, Bed, Run, Worker
from tests.faults.fault import Fault, Place
from tests.faults.ranks import nothing_yet
from tests.integration.local_endpoint import PATIENCE_S
from tests.integration.test_demo_ends import demo, parts, until


def without_a_lost_rank(bed: Bed, given: Mapping[str, Any]) -> Run:
    """A refused start is no attempt of the rank."""
    run = bed.run(**given)
    again = [rank for rank in range(RANKS) if bed.system.json(f"{bed.path}/{rank}.json")["attempt"]]
    return replace(run, problems=tuple(f"rank {rank} counts a refused start as an attempt" for rank in again))


def with_one_name_twice(bed: Bed, given: Mapping[str, Any]) -> Run:
    """While the run is at work: with the same input, and with another."""
    problems: list[str] = []
    name = f"twice-{time.monotonic_ns()}"

    def start_again(_worker: Worker) -> None:
        try:
            again = bed.system.start(name, **bed.given)
        except ClientError as error:
            again = str(error)
        if again != bed.execution:
            problems.append(f"the same start is answered by {again}")
        try:
            bed.system.start(name, **{**bed.given, "batch_size": 2})
            problems.append("another run of the same name has begun")
        except ClientError as error:
            if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
                problems.append(f"another run of the same name is refused by {error}")

    bed.on(start_again, phase="inference", rank=1)
    return replace(bed.run(name=name, **given), problems=tuple(problems))


def with_one_path_twice(bed: Bed, given: Mapping[str, Any]) -> Run:
    """Another run to the same path is refused while the first one is at work."""
    second: list[dict[str, Any]] = []

    def start_again(_worker: Worker) -> None:
        second.append(bed.system.cloud.wait_for(bed.system.start(**bed.given)))

    bed.on(start_again, phase="inference", rank=1)  # which rank 1 does not leave before
    run = bed.run(**given)
    (ended,) = second
    said = f"{ended.get('error')}: {message_of(ended.get('cause') or '')}"
    problems = [] if ended["status"] == "FAILED" else ["the second run to one path is not refused"]
    return replace(run, said=f"{run.said}\n{said}", problems=tuple(problems))


def with_a_killed_endpoint(_bed: Bed, _given: Mapping[str, Any]) -> Run:
    """Of the demo, whose S3 ends with it; nothing of the run is left, and the command says why."""
    with TemporaryDirectory() as folder, demo(Path(folder), each=5 * EACH) as process:
        until(process, "rank 0  start")
        at_work = parts(process)
        began = time.monotonic()
        os.kill(at_work["statemachine.local"], signal.SIGKILL)
        assert process.stdout is not None
        said = process.stdout.read()
        status = process.wait(PATIENCE_S)
        seconds = time.monotonic() - began
    problems = [] if status == 1 else [f"the command ends with status {status}"]
    problems += ["it shows a traceback"] if re.search("Traceback", said) else []
    return Run("FAILED", seconds, said, {}, None, tuple(problems))


FAULTS = (
    Fault(
        "starts are refused",
        f"a quota of {RANKS - 1} invocations, and functions that are inactive for 1.5 s",
        40,
        nothing_yet,
        alone=True,
        place=Place.QUOTA,
        play=without_a_lost_rank,
    ),
    Fault(
        "one execution name is used twice",
        "in inference, with the same input and with another",
        20,
        nothing_yet,
        alone=True,
        play=with_one_name_twice,
    ),
    Fault(
        "one result path is used twice",
        "by another run, in inference",
        20,
        nothing_yet,
        named=r"result_path \S+ is in use by the run",
        alone=True,
        fast=True,
        play=with_one_path_twice,
    ),
    Fault(
        "the endpoint is killed",
        "SIGKILL when the demo's ranks begin",
        20,
        nothing_yet,
        lost=frozenset(range(RANKS)),
        named="the local endpoint was killed by SIGKILL",
        alone=True,
        fast=True,
        play=with_a_killed_endpoint,
    ),
)
