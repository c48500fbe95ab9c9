"""One run on a local AWS endpoint. Galaxies go to its S3, an execution runs, and its results come back as tables."""

import argparse
import json
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import numpy as np
from rich.console import Console, RenderableType

from lambda_image.data.foreign import import_of_files
from lambda_image.data.partition import write_partition
from lambda_image.data.quality import OnBadRow
from lambda_image.errors import InvalidEvent, UsageError
from lambda_image.events import MAX_BATCH_SIZE
from lambda_image.partition_names import PARTITION_SUFFIXES, check_name, printable, select
from lambda_image.summary import message_of
from scripts.aws_endpoint import AwsEndpoint
from scripts.galaxies import Mixture, render
from scripts.report.command import write_report
from scripts.result_folder import ResultFolder
from scripts.tables import run_tables
from scripts.words import counted

TABLE_WIDTH = 110  # where the output is no terminal, which would know its own
SAMPLE_GALAXIES, SAMPLE_PARTITIONS, SAMPLE_SEED = 4096, 8, 0
TOKEN_BYTES = 6  # at random: of two executions in one second, one in 10^14 meets another's name
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
        "--on-bad-row",
        choices=get_args(OnBadRow),
        default="flag",
        help="what is done about a galaxy that cannot be judged: it is flagged in the results, left out of them, or "
        "fails its rank",
    )
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
    check_batch_size(args.batch_size)


def check_batch_size(size: int) -> None:
    """Checks the flag `--batch-size`.

    Raises:
        UsageError: it is out of range.
    """
    if not 1 <= size <= MAX_BATCH_SIZE:
        raise UsageError(f"--batch-size is {size}; allowed: a whole number from 1 to {MAX_BATCH_SIZE}")


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
            problem = f"the results could not be written to --out {printable(out.given)}: {error.strerror}"
            raise InvalidEvent(problem) from error
        self._show(print_line)
        if self.objects:
            print_line(f"{counted(len(self.objects), 'result object')} in {out.given}/")
            self._write_report(out, print_line)
        status = self.described["status"]
        if status == "SUCCEEDED":
            return 0
        cause = message_of(self.described.get("cause", ""))
        print(f"cosmicai: the run {status.lower()}: {self.described.get('error')}: {cause}", file=sys.stderr)
        if self.objects:  # the cause names their place on the endpoint, which may be gone
            print(f"cosmicai: what lay under results/ in that run is in {out.given}/ now", file=sys.stderr)
        return 1

    def _write_report(self, out: ResultFolder, print_line: Callable[[str], None]) -> None:
        """A run is not worse for a report that cannot be written."""
        if find_spec("vl_convert") is None or not {"summary.json", "combined_data.json"} <= self.objects.keys():
            return
        try:
            print_line(f"report in {write_report(out.given, files=False)}")
        except OSError as error:
            print_line(f"no report could be written: {error}")

    def _show(self, print_line: Callable[[str], None]) -> None:
        if "combined_data.json" in self.objects and "summary.json" in self.objects:
            summary, records = (json.loads(self.objects[f"{name}.json"]) for name in ("summary", "combined_data"))
            show_run(summary, records, print_line)


def upload(endpoint: AwsEndpoint, files: Sequence[Path], bucket: str, prefix: str) -> None:
    """Uploads files, by their names, under a prefix in a bucket that need not be there yet."""
    s3 = endpoint.client("s3")
    s3.create_bucket(Bucket=bucket)
    for file in files:
        s3.upload_file(str(file), bucket, f"{prefix}/{file.name}")


def remove(endpoint: AwsEndpoint, files: Sequence[Path], bucket: str, prefix: str) -> None:
    """Removes what `upload` has put there."""
    s3 = endpoint.client("s3")
    for file in files:
        s3.delete_object(Bucket=bucket, Key=f"{prefix}/{file.name}")


def new_name(command: str, now: datetime) -> str:
    """Makes a name for an execution, which no other execution has, be it started in the same second by someone else.

    Args:
        command: the command that starts it, of at most 50 letters.
        now: the time, which orders executions by their names.

    Returns:
        A name that Step Functions allows (1 to 80 characters), and that may be part of a key on S3.
    """
    return f"{command}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(TOKEN_BYTES)}"


def execute(endpoint: AwsEndpoint, machine: str, name: str, execution_input: Mapping[str, Any]) -> Execution:
    """Starts an execution and waits for its end.

    Args:
        endpoint: where it runs.
        machine: the ARN of the state machine.
        name: its name, which no other execution has.
        execution_input: what it is started with.
    """
    arn = endpoint.client("stepfunctions").start_execution(
        stateMachineArn=machine, name=name, input=json.dumps(execution_input)
    )["executionArn"]
    described = endpoint.wait_for(arn)
    path = str(execution_input.get("result_path") or f"results/{arn.rpartition(':')[2]}").strip("/")
    bucket = execution_input.get("bucket") or execution_input["bucket_name"]
    return Execution(described, _objects(endpoint, bucket, f"{path}/"))


def _objects(endpoint: AwsEndpoint, bucket: str, prefix: str) -> dict[str, bytes]:
    """All but what ranks have kept for their next attempts, which nobody needs when the run has ended."""
    s3 = endpoint.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    listed = [found["Key"] for page in pages for found in page.get("Contents", ())]
    keys = [key for key in listed if not key.startswith((f"{prefix}attempts/", f"{prefix}shares/"))]
    return {key.removeprefix(prefix): s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def input_for(
    args: argparse.Namespace, bucket: str, files: Sequence[Path], prefix: str, warnings: Sequence[str] = ()
) -> dict[str, Any]:
    """Makes the execution input for uploaded files. One dataset is split by rows, and a folder of partitions by file.

    Args:
        args: the flags that `add_arguments` added.
        bucket: where the files are, and where the results go.
        files: what was uploaded.
        prefix: their prefix.
        warnings: what the summary shall say of files that were not uploaded.
    """
    one = args.data is not None and args.data.is_file()
    where = {"data_path": f"{prefix}/{files[0].name}"} if one else {"data_prefix": prefix}
    flags = {"world_size": args.world_size, "batch_size": args.batch_size, "on_bad_row": args.on_bad_row}
    told = {"warnings": list(warnings)} if warnings else {}
    return {"bucket": bucket, **flags, **where, **told}


def partition_files(data: Path, flag: str = "--data") -> tuple[list[Path], list[str]]:
    """Finds the partitions that `data` is or holds, by the rule by which a run finds them on S3.

    Args:
        data: a file or a folder.
        flag: what named it.

    Returns:
        The partitions in natural order, and a warning if other things lie beside them.

    Raises:
        UsageError: there is nothing at `data`, no partition in it, or one whose name cannot be shown on one line.
    """
    given = f"{flag} {printable(data)}"
    if not data.exists():
        raise UsageError(f"{given} does not exist: name a dataset, or a folder of partitions")
    try:
        if data.is_file():
            if check_name(data.name) != data.name.strip():
                raise UsageError(f"the name of {given} begins or ends with a blank: rename it")
            return [data], []
        paths = {path.name if path.is_file() else f"{path.name}/": path for path in data.iterdir()}
        selection = select(paths)
    except InvalidEvent as error:
        raise UsageError(f"{given}: {error}") from error
    if not selection.partitions:
        endings = ", ".join(PARTITION_SUFFIXES)
        remedy = import_of_files(printable(data), [path.name for path in data.rglob("*")])
        raise UsageError(f"{given} is a folder that holds no datasets, which are files in {endings}{remedy}")
    return [paths[name] for name in selection.partitions], selection.warnings(f"{printable(data)}/")


def sample(folder: Path) -> list[Path]:
    """Writes sample galaxies to `folder`, in partitions. They are the same each time."""
    rng = np.random.default_rng(SAMPLE_SEED)
    magnitudes, redshifts = Mixture.shipped().draw(SAMPLE_GALAXIES, rng)
    images = render(magnitudes, rng)
    files = [folder / f"{number}.safetensors" for number in range(1, SAMPLE_PARTITIONS + 1)]
    for file, rows in zip(files, np.array_split(np.arange(SAMPLE_GALAXIES), SAMPLE_PARTITIONS), strict=True):
        write_partition(file, images[rows], magnitudes[rows], redshifts[rows])
    return files


def show_run(
    summary: Mapping[str, Any], records: Sequence[Mapping[str, Any]], print_line: Callable[[str], None]
) -> None:
    """Shows the tables of a run and its warnings.

    Args:
        summary: the content of `summary.json`.
        records: the content of `combined_data.json`.
        print_line: shows a line of text.
    """
    show(run_tables(summary, records))
    for warning in summary["warnings"]:
        print_line(f"warning: {warning}")


def show(tables: RenderableType) -> None:
    """Prints tables, without colours and trailing blanks where the output is no terminal."""
    if sys.stdout.isatty():
        Console().print(tables)
        return
    console = Console(width=TABLE_WIDTH, highlight=False)
    with console.capture() as captured:
        console.print(tables)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()), flush=True)
