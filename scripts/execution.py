"""One run: what goes into it, and its start. What comes out of it is runs/outcome.py's."""

import argparse
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import numpy as np
from botocore.exceptions import ClientError

from lambda_image.data.foreign import import_of_files
from lambda_image.data.partition import write_partition
from lambda_image.data.quality import OnBadRow
from lambda_image.errors import InvalidEvent, UsageError
from lambda_image.events import MAX_BATCH_SIZE, parse
from lambda_image.partition_names import PARTITION_SUFFIXES, check_name, printable, select
from scripts.flag_values import check_whole
from scripts.galaxies import made_galaxies
from scripts.runs.following import StartedRun
from scripts.runs.place import ANYWHERE, Place
from scripts.stack.account import DENIED, AccountError, code_of
from scripts.user_files import add_overwrite, check_there

SAMPLE_GALAXIES, SAMPLE_PARTITIONS, SAMPLE_SEED = 4096, 8, 0
TOKEN_BYTES = 6  # at random: of two executions in one second, one in 10^14 meets another's name
MAX_RANKS = 128  # each a process of one machine: 470 MB with PyTorch (measured), so 60 GB together


def add_arguments(parser: argparse.ArgumentParser, out: Path) -> None:
    """Adds the flags that every command has that runs something.

    Args:
        parser: the command's.
        out: the folder for results where --out names none.
    """
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
        help=f"a folder for the result objects (default: {out}, and an earlier run moves from there to its own ID)",
    )
    add_overwrite(parser, "the results of an earlier run in the folder that --out names, and the file of --json")


def check_arguments(args: argparse.Namespace) -> None:
    """Checks the flags that `add_arguments` added.

    Raises:
        UsageError: a value is out of range.
    """
    if not 1 <= args.world_size <= MAX_RANKS:
        allowed = f"a whole number from 1 to {MAX_RANKS}, as each rank is a process of one machine"
        raise UsageError(f"--world-size is {args.world_size}; allowed: {allowed}")
    check_batch_size(args.batch_size)


def check_batch_size(size: int | None) -> None:
    """Checks the flag `--batch-size`, where it is given.

    Raises:
        UsageError: it is out of range.
    """
    check_whole("--batch-size", size, most=MAX_BATCH_SIZE)


def begin(place: Place, name: str, execution_input: Mapping[str, Any]) -> StartedRun:
    """Starts an execution.

    Args:
        place: where it runs.
        name: its name, which no other execution has.
        execution_input: what it is started with.

    Raises:
        AccountError: the name is taken, or the state machine is gone.
        botocore's errors: AWS refuses or does not answer.
    """
    try:
        arn = place.client("stepfunctions").start_execution(
            stateMachineArn=place.machine, name=name, input=json.dumps(execution_input)
        )["executionArn"]
    except ClientError as error:
        if code_of(error) == "ExecutionAlreadyExists":
            raise _taken(place, name) from error
        if code_of(error) in ("StateMachineDoesNotExist", "StateMachineDeleting"):
            raise AccountError(f"{place.name} has no state machine {place.machine}: run cosmicai deploy") from error
        raise
    return started_run(arn, execution_input)


def check_name_is_free(place: Place, name: str) -> None:
    """Checks that no run has a name, before anything is uploaded under it that another run may be reading.

    Args:
        place: where it would run.
        name: the name.

    Raises:
        AccountError: there is a run of that name.
        botocore's errors: AWS does not answer.
    """
    try:
        place.client("stepfunctions").describe_execution(executionArn=place.execution_arn(name))
    except ClientError as error:
        if code_of(error) in ("ExecutionDoesNotExist", *DENIED):  # the start asks once more
            return
        raise
    raise _taken(place, name)


def _taken(place: Place, name: str) -> AccountError:
    follow = place.command("watch", name)
    return AccountError(f"there is a run {name} already: give another --name, or follow it by {follow}")


def started_run(arn: str, execution_input: Mapping[str, Any]) -> StartedRun:
    """Finds out where the results of an execution go.

    Args:
        arn: that of the execution.
        execution_input: what it was started with.

    Raises:
        InvalidEvent: it has no results, since Init refuses such an input.
    """
    request = parse(execution_input, arn, ANYWHERE)
    return StartedRun(arn, request.bucket, request.result_path)


def new_name(command: str, now: datetime) -> str:
    """Makes a name for an execution, which no other execution has, be it started in the same second by someone else.

    Args:
        command: the command that starts it, of at most 50 letters.
        now: the time, which orders executions by their names.

    Returns:
        A name that Step Functions allows (1 to 80 characters), and that may be part of a key on S3.
    """
    return f"{command}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(TOKEN_BYTES)}"


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
        flag: what named it, or nothing for an argument.

    Returns:
        The partitions in natural order, and a warning if other things lie beside them.

    Raises:
        UsageError: there is nothing at `data`, no partition in it, or one whose name cannot be shown on one line.
    """
    given = f"{flag} {printable(data)}".strip()
    check_there(flag, data, "a dataset, or a folder of partitions", folders=True)
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
    images, magnitudes, redshifts = made_galaxies(SAMPLE_GALAXIES, rng)
    files = [folder / f"{number}.safetensors" for number in range(1, SAMPLE_PARTITIONS + 1)]
    for file, rows in zip(files, np.array_split(np.arange(SAMPLE_GALAXIES), SAMPLE_PARTITIONS), strict=True):
        write_partition(file, images[rows], magnitudes[rows], redshifts[rows])
    return files
