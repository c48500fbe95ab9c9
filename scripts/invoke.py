"""cosmicai invoke: a run on an AWS endpoint that is there already, as `docker compose` starts one."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.parsers import ResponseParserError

from lambda_image.errors import InvalidEvent, UsageError
from lambda_image.partition_names import printable
from scripts import execution
from scripts.aws_endpoint import AwsEndpoint, EndpointError
from scripts.progress import RunProgress
from scripts.result_folder import result_folder
from statemachine.definition import STATE_MACHINE

HELP = "run on a local AWS endpoint that is up (SERVE=1 docker compose up serve)"
EXAMPLE = "cosmicai invoke --endpoint-url http://127.0.0.1:4566 --data my_galaxies.pt"

BUCKET = "cosmicai-invoke"
ANSWER_CHARACTERS = 300  # of an answer that may be a web page
READY_TIMEOUT_S = 120.0  # until a container per rank has started, with as much CPU as a Lambda of its size has


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "input",
        type=Path,
        nargs="?",
        help="an execution input (JSON) for data that is on the endpoint's S3; it takes the place of --data, "
        "--world-size, --batch-size and --on-bad-row",
    )
    execution.add_arguments(parser, out=Path("out/invoke"))
    parser.add_argument(
        "--endpoint-url",
        default=os.environ.get("AWS_ENDPOINT_URL"),
        help="where the endpoint is; without it, the variable AWS_ENDPOINT_URL says so",
    )


def run(args: argparse.Namespace) -> int:
    execution.check_arguments(args)
    endpoint = endpoint_at(args.endpoint_url)
    progress = RunProgress(sys.stdout, [])  # what the ranks log stays with them
    name = execution.new_name("invoke", datetime.now(UTC))
    prefix = f"data/{name}"  # of this run alone: others may use the endpoint, at the same time or before
    with result_folder(args.out) as out, tempfile.TemporaryDirectory(prefix="cosmicai-") as scratch:
        files, warnings = ([], []) if args.input else _files(args.data, Path(scratch))
        try:
            if args.input:
                execution_input = read_input(args.input)
                check_bucket(endpoint, execution_input, args.input)
            else:
                execution.upload(endpoint, files, BUCKET, prefix)
                execution_input = execution.input_for(args, BUCKET, files, prefix, warnings)
                progress.print(f"{printable(args.data or 'sample galaxies')} uploaded to {args.endpoint_url}")
            machine = endpoint.state_machine(STATE_MACHINE)
            ranks = str(execution_input.get("world_size", ""))
            endpoint.wait_until_ready(int(ranks) if ranks.isdecimal() else 1, READY_TIMEOUT_S)
            out.clear()
            progress.print(f"running {json.dumps(execution_input)}")
            ended = execution.execute(endpoint, machine, name, execution_input)
        except BotoCoreError as error:
            raise EndpointError(f"{args.endpoint_url} does not answer: {error}") from error
        except (ClientError, Boto3Error, ResponseParserError) as error:
            answer = " ".join(str(error).split())[:ANSWER_CHARACTERS]
            raise EndpointError(
                f"{args.endpoint_url} refuses: {answer} (is it a local AWS endpoint of ours?)"
            ) from error
        # The endpoint keeps objects in memory, and nobody else knows of these. Those of a run that was not seen to end
        # stay, since it may be reading them.
        with suppress(BotoCoreError, ClientError, ResponseParserError):
            execution.remove(endpoint, files, BUCKET, prefix)
        return ended.report(out, progress.print)


def endpoint_at(url: str | None) -> AwsEndpoint:
    """Takes the endpoint at `url`, without asking it anything.

    Raises:
        UsageError: there is no URL, or it is none.
    """
    if not url:
        raise UsageError("no endpoint is named: give --endpoint-url or set AWS_ENDPOINT_URL")
    endpoint = AwsEndpoint(url)
    try:
        _ = urlsplit(url).port  # raises beyond 65535, as botocore does only when it connects
        endpoint.client("s3")
    except ValueError as error:
        raise UsageError(f"--endpoint-url is {url}; allowed: a URL such as http://127.0.0.1:4566") from error
    return endpoint


def check_bucket(endpoint: AwsEndpoint, execution_input: Mapping[str, Any], file: Path) -> None:
    """Looks up the bucket that the input in `file` names.

    Raises:
        InvalidEvent: the endpoint has no such bucket.
    """
    bucket = execution_input.get("bucket") or execution_input["bucket_name"]
    try:
        endpoint.client("s3").head_bucket(Bucket=bucket)
    except ParamValidationError as error:
        raise InvalidEvent(f"{file}: {bucket!r} is not a bucket's name") from error
    except ClientError as error:
        if error.response["Error"]["Code"] != "404":
            raise
        where = f"{endpoint.endpoint_url} has no bucket {bucket!r}"
        raise InvalidEvent(f"{where}: create it and upload the data, or name another in {file}") from error


def _files(data: Path | None, scratch: Path) -> tuple[Sequence[Path], Sequence[str]]:
    """The partitions to upload, and warnings about what lies beside them."""
    return (execution.sample(scratch), []) if data is None else execution.partition_files(data)


def read_input(file: Path) -> dict[str, Any]:
    """Reads an execution input. Init judges its values.

    Raises:
        InvalidEvent: the file is not JSON, or not an execution input at all.
    """
    try:
        found = json.loads(file.read_bytes())
    except ValueError as error:
        raise InvalidEvent(f"{file} is not JSON: {error}") from error
    if not isinstance(found, dict) or not (found.get("bucket") or found.get("bucket_name")):
        raise InvalidEvent(f"{file} is not an execution input: a JSON object with a bucket")
    return found
