"""One run on a local AWS endpoint. Galaxies go to its S3, an execution runs, and its results come back as tables."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console, RenderableType

from lambda_image.data.dataset import choose_files
from lambda_image.data.partition import write_partition
from lambda_image.errors import InvalidEvent, UsageError
from lambda_image.events import MAX_BATCH_SIZE
from lambda_image.manifest import PARTITION_SUFFIXES
from lambda_image.summary import message_of
from scripts.aws_endpoint import AwsEndpoint
from scripts.galaxies import Mixture, render
from scripts.result_folder import ResultFolder
from scripts.tables import run_tables
from scripts.words import counted

TABLE_WIDTH = 110  # where the output is no terminal, which would know its own
STATE_MACHINE = "redshift"
SAMPLE_GALAXIES, SAMPLE_PARTITIONS, SAMPLE_SEED = 4096, 8, 0
MAX_RANKS = 128  # each a process of one machine: 470 MB with PyTorch (measured), so 60 GB together


def add_arguments(parser: argparse.ArgumentParser, out: Path) -> None:
    """Adds the flags that every command has that runs something. `out` is the default of its --out."""
    parser.add_argument("--world-size", type=int, default=4, help="ranks")
    parser.add_argument(
        "--data",
        type=Path,
        help="a dataset file (.safetensors, or .pt as published), or a folder of such files as partitions; "
        f"without it, {SAMPLE_GALAXIES:,} sample galaxies",
    )
    parser.add_argument("--batch-size", type=int, default=256, help="galaxies that a rank infers at a time")
    parser.add_argument(
        "--out",
        type=Path,
        default=out,
        help="a folder for the result objects; those of an earlier run in it are replaced",
    )


def check_arguments(args: argparse.Namespace) -> None:
    """Checks the flags that `add_arguments` added.

    Raises:
        UsageError: a value is out of range.
    """
    if not 1 <= args.world_size <= MAX_RANKS:
        allowed = f"a whole number from 1 to {MAX_RANKS}, as each rank is a process of one machine"
        raise UsageError(f"--world-size is {args.world_size}; allowed: {allowed}")
    if not 1 <= args.batch_size <= MAX_BATCH_SIZE:
        raise UsageError(f"--batch-size is {args.batch_size}; allowed: a whole number from 1 to {MAX_BATCH_SIZE}")


@dataclass(frozen=True)
class Execution:
    """An execution that has ended, and its result objects by their names under the result path."""

    described: Mapping[str, Any]
    objects: Mapping[str, bytes]

    def report(self, out: ResultFolder, print_line: Callable[[str], None]) -> int:
        """Writes the objects of the run and then shows it, so that nothing that goes wrong at the terminal costs them.

        Args:
            out: where its objects go.
            print_line: shows a line of text.

        Returns:
            The exit status of a command that has done nothing else.

        Raises:
            InvalidEvent: the objects could not be written; the run has been shown.
        """
        try:
            if self.objects:
                out.write(self.objects)
        except OSError as error:
            self._show(print_line)
            problem = f"the results could not be written to --out {out.given}: {error.strerror}"
            raise InvalidEvent(problem) from error
        self._show(print_line)
        if self.objects:
            print_line(f"{counted(len(self.objects), 'result object')} in {out.given}/")
        status = self.described["status"]
        if status == "SUCCEEDED":
            return 0
        cause = message_of(self.described.get("cause", ""))
        print(f"cosmicai: the run {status.lower()}: {self.described.get('error')}: {cause}", file=sys.stderr)
        if self.objects:  # the cause names their place on the endpoint, which may be gone
            print(f"cosmicai: what lay under results/ in that run is in {out.given}/ now", file=sys.stderr)
        return 1

    def _show(self, print_line: Callable[[str], None]) -> None:
        if "combined_data.json" in self.objects and "summary.json" in self.objects:
            summary, records = (json.loads(self.objects[f"{name}.json"]) for name in ("summary", "combined_data"))
            show(run_tables(summary, records))
            for warning in summary["warnings"]:
                print_line(f"warning: {warning}")


def upload(endpoint: AwsEndpoint, files: Sequence[Path], bucket: str, prefix: str) -> None:
    """Uploads files, by their names, under a prefix in a bucket that need not be there yet."""
    s3 = endpoint.client("s3")
    s3.create_bucket(Bucket=bucket)
    for file in files:
        s3.upload_file(str(file), bucket, f"{prefix}/{file.name}")


def execute(endpoint: AwsEndpoint, machine: str, name: str, execution_input: Mapping[str, Any]) -> Execution:
    """Starts an execution and waits for its end.

    Args:
        endpoint: where it runs.
        machine: the ARN of the state machine.
        name: what its name begins with; the time follows, so that each execution has its own.
        execution_input: what it is started with.
    """
    arn = endpoint.client("stepfunctions").start_execution(
        stateMachineArn=machine, name=f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}", input=json.dumps(execution_input)
    )["executionArn"]
    described = endpoint.wait_for(arn)
    path = str(execution_input.get("result_path") or f"results/{arn.rpartition(':')[2]}").strip("/")
    bucket = execution_input.get("bucket") or execution_input["bucket_name"]
    return Execution(described, _objects(endpoint, bucket, f"{path}/"))


def _objects(endpoint: AwsEndpoint, bucket: str, prefix: str) -> dict[str, bytes]:
    s3 = endpoint.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
    return {key.removeprefix(prefix): s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def where(data: Path | None, files: Sequence[Path], prefix: str) -> dict[str, str]:
    """Names uploaded files as an execution input does: one dataset is split by rows, a folder of partitions by file."""
    if data is not None and data.is_file():
        return {"data_path": f"{prefix}/{files[0].name}"}
    return {"data_prefix": prefix}


def partition_files(data: Path) -> tuple[list[Path], int]:
    """Finds the partitions that `data` is or holds.

    Returns:
        The partitions in natural order, and how many other things lie beside them.

    Raises:
        UsageError: there is nothing at `data`, or no partition in it.
    """
    if not data.exists():
        raise UsageError(f"--data {data} does not exist: name a dataset, or a folder of partitions")
    if data.is_file():
        return [data], 0
    found = list(data.iterdir())
    files = choose_files(found)
    if not files:
        raise UsageError(
            f"--data {data} is a folder that holds no datasets: no files in {', '.join(PARTITION_SUFFIXES)}"
        )
    return files, len(found) - len(files)


def sample(folder: Path) -> list[Path]:
    """Writes sample galaxies to `folder`, in partitions. They are the same each time."""
    rng = np.random.default_rng(SAMPLE_SEED)
    magnitudes, redshifts = Mixture.shipped().draw(SAMPLE_GALAXIES, rng)
    images = render(magnitudes, rng)
    files = [folder / f"{number}.safetensors" for number in range(1, SAMPLE_PARTITIONS + 1)]
    for file, rows in zip(files, np.array_split(np.arange(SAMPLE_GALAXIES), SAMPLE_PARTITIONS), strict=True):
        write_partition(file, images[rows], magnitudes[rows], redshifts[rows])
    return files


def show(tables: RenderableType) -> None:
    """Prints tables, without colours and trailing blanks where the output is no terminal."""
    if sys.stdout.isatty():
        Console().print(tables)
        return
    console = Console(width=TABLE_WIDTH, highlight=False)
    with console.capture() as captured:
        console.print(tables)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()), flush=True)
