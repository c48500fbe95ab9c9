"""The execution input of a run: from a file, from flags, and judged by what Init will judge it with."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from botocore.exceptions import ClientError

from lambda_image.address import Address
from lambda_image.data.quality import OnBadRow
from lambda_image.errors import InvalidEvent, UsageError
from lambda_image.events import RunRequest, parse
from lambda_image.handlers.finding import find_data, find_model
from lambda_image.json_text import parse_json
from lambda_image.storage import ObjectStore
from scripts.runs.place import ANYWHERE, Place
from scripts.stack.account import DENIED, code_of
from scripts.stack.bucket import check_bucket
from scripts.user_files import check_there

# Flags that are keys of the execution input. Their values are judged where Init judges them.
KEYS = {
    "bucket": "where manifest and results go; without it, the stack's bucket",
    "data_bucket": "where the data lies; without it, the bucket",
    "data_prefix": "partitions that are on S3, directly under this prefix (cosmicai upload names it)",
    "data_path": "one dataset that is on S3, which is split over the ranks by rows",
    "result_path": "prefix of the results; without it, results/ID",
    "file_limit": "how many partitions are used, from the first one",
    "tolerated_failures": "how many ranks may fail before the run fails",
}
PLACES = ("data_prefix", "data_path", "data_size", "dataset_path")


@dataclass(frozen=True)
class JudgedInput:
    """An execution input that Init will take, and what it means."""

    request: RunRequest
    world_size: int | None  # None where the data may not be looked at from here
    totals: list[int] | None  # galaxies of each rank, where that is known before anything is read


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that an execution input is made of."""
    parser.add_argument("given", metavar="INPUT", type=Path, nargs="?", help="the same as --input")
    parser.add_argument(
        "--input",
        type=Path,
        metavar="FILE",
        help="an execution input (JSON) for data that is on S3, or - for the standard input; flags change its keys",
    )
    for key, text in KEYS.items():
        parser.add_argument(f"--{key.replace('_', '-')}", help=text)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any other key of the execution input, as docs/runs.md lists them; may be repeated",
    )
    parser.add_argument("--world-size", type=int, help="ranks; without it, as many as there are partitions, or 4")
    parser.add_argument("--batch-size", type=int, help="galaxies that a rank infers at a time")
    parser.add_argument(
        "--on-bad-row",
        choices=get_args(OnBadRow),
        help="what is done about a galaxy that cannot be judged: it is flagged in the results, left out of them, or "
        "fails its rank",
    )
    parser.add_argument(
        "--rendezvous",
        metavar="HOST:PORT",
        help="the rendezvous server by which ranks find each other; start gives this run one on AWS, and with none the "
        "ranks gather by way of S3",
    )


def read(args: argparse.Namespace) -> dict[str, Any]:
    """Reads what the flags of `add_arguments` say.

    Returns:
        The keys that were given, which name a place of data unless `--data` does.

    Raises:
        UsageError: flags contradict each other.
        InvalidEvent: a file is not JSON, or no execution input.
    """
    if args.given and args.input:
        raise UsageError(f"{args.given} and --input {args.input} are two execution inputs: give one of them")
    file = args.input or args.given
    if str(file) != "-":
        check_there("--input" if args.input else "", file, "an execution input (JSON)")
    found = read_file(file) if file else {}
    flags = {key: getattr(args, key) for key in (*KEYS, "world_size", "batch_size", "on_bad_row")}
    chosen = {key: value for key, value in flags.items() if value is not None}
    for assignment in args.set:
        key, equals, value = assignment.partition("=")
        if not (key and equals):
            raise UsageError(f"--set is {assignment!r}; allowed: KEY=VALUE, as in --set gather_timeout_s=120")
        chosen[key] = value
    if "bucket" in chosen:
        found.pop("bucket_name", None)
    if chosen.keys() & {"data_prefix", "data_path"}:  # they say where the data lies, and so not where the file says
        for key in PLACES:
            found.pop(key, None)
    return found | chosen


def read_file(file: Path) -> dict[str, Any]:
    """Reads an execution input. Its values are judged later.

    Raises:
        InvalidEvent: the file is not JSON, or not an object.
        OSError: it cannot be read.
    """
    try:
        found = parse_json(sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InvalidEvent(f"{file} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise InvalidEvent(f"{file} is not an execution input: a JSON object such as docs/runs.md shows")
    return found


def check(place: Place, given: Mapping[str, Any], execution: str, init: Mapping[str, Any]) -> RunRequest:
    """Judges an execution input as Init does, without looking at the data. The arguments are those of `judge`.

    Raises:
        InvalidEvent: Init would refuse it; the message is Init's.
    """
    known = _variables(init).get("MAX_CONCURRENCY")
    return parse(given, execution, _default_server(place, init), int(known) if known else None)


def judge(
    place: Place, given: Mapping[str, Any], execution: str, init: Mapping[str, Any], note: Callable[[str], None]
) -> JudgedInput:
    """Judges an execution input as Init does, and looks up the data that it names.

    Args:
        place: where it is to run.
        given: the input.
        execution: the ARN that the execution will have.
        init: the configuration of the function Init, as Lambda has it.
        note: is told what Init will warn of, and what cannot be seen from here.

    Raises:
        RunError: Init would refuse it; the message is Init's.
        AccountError: a bucket is not there, belongs to others or lies in another region.
        botocore's errors: AWS refuses or does not answer.
    """
    request = check(place, given, execution, init)
    for warning in request.warnings:
        note(f"warning: {warning}")
    s3 = place.client("s3")
    check_bucket(s3, request.bucket, place.region, "create it, or name another by --bucket")
    try:
        find_model(request, ObjectStore(request.model_bucket, missing=InvalidEvent, client=s3))
        dealt = find_data(request, ObjectStore(request.data_bucket, client=s3))
    except InvalidEvent as error:
        if not (isinstance(error.__cause__, ClientError) and code_of(error.__cause__) in DENIED):
            raise
        note(f"the data cannot be looked at from here; the run may be allowed to ({error})")
        return JudgedInput(request, request.world_size, None)
    for warning in dealt.warnings:
        note(f"warning: {warning}")
    if dealt.said:
        note(dealt.said)
    return JudgedInput(request, len(dealt.shares), _totals(dealt.shares))


def _default_server(place: Place, init: Mapping[str, Any]) -> Address | None:
    """The rendezvous server that Init knows by itself."""
    if place.local is not None:
        return ANYWHERE
    known = _variables(init).get("RENDEZVOUS_ENDPOINT") or place.rendezvous
    return Address.parse(known) if known else None


def _variables(init: Mapping[str, Any]) -> Mapping[str, str]:
    """What Init knows of its deployment."""
    variables: Mapping[str, str] = init.get("Environment", {}).get("Variables", {})
    return variables


def _totals(dealt: Sequence[Sequence[Any]]) -> list[int] | None:
    """Galaxies by rank, where one dataset is split by rows; of partitions nobody has counted them."""
    if not all(share[0].rows for share in dealt if share):  # a rank has rows of one dataset, or files
        return None
    return [sum(part.rows[1] - part.rows[0] for part in share) for share in dealt]
