"""cosmicai upload: galaxies onto S3, as partitions that a run can be made over."""

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from lambda_image.data.partition import count_rows
from lambda_image.errors import UsageError
from lambda_image.partition_names import printable
from scripts.execution import partition_files
from scripts.flag_values import check_positive
from scripts.json_file import add_json, write_json
from scripts.place_flags import add_place_of_runs
from scripts.runs import place as places
from scripts.runs import uploading
from scripts.runs.place import Place
from scripts.split import MIB, SIZE_HELP, split
from scripts.stack.account import explained
from scripts.stack.bucket import check_bucket
from scripts.user_files import add_overwrite, check_new
from scripts.words import counted

HELP = "upload galaxies to S3 as partitions, in parallel and without what is there already"
EXAMPLE = "cosmicai upload galaxies.safetensors datasets/galaxies --region eu-west-1"

S3 = "s3://"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, help="a dataset file (.safetensors, .pt), or a folder of partitions")
    parser.add_argument(
        "prefix",
        nargs="?",
        help="where to, as PREFIX in the stack's bucket or s3://BUCKET/PREFIX; without it, datasets/NAME of the data",
    )
    parser.add_argument(
        "--size-mb", type=float, default=25.0, help=f"a dataset file that is larger is cut into partitions: {SIZE_HELP}"
    )
    add_json(parser, "what was uploaded, and the execution input of a run over it")
    add_overwrite(parser, "the file that --json names")
    add_place_of_runs(parser)


def run(args: argparse.Namespace) -> int:
    check_positive("--size-mb", args.size_mb)
    check_new({"--json": args.json}, overwrite=args.overwrite, read=[args.data])
    files, warnings = partition_files(args.data, "")
    for warning in warnings:
        print(f"warning: {warning}")
    rows = sum(count_rows(file) for file in files if args.data.is_file() or file.stat().st_size)
    with tempfile.TemporaryDirectory(prefix="cosmicai-") as scratch, explained(args.endpoint_url or "AWS"):
        place = places.open_place(args)
        bucket, prefix = destination(args.prefix, args.data, place)
        s3 = place.client("s3")
        check_bucket(s3, bucket, place.region, "create it, or name another")
        if args.data.is_file() and args.data.stat().st_size > args.size_mb * MIB:
            count, _ = split(args.data, Path(scratch) / "partitions", args.size_mb, "safetensors")
            files = [Path(scratch) / "partitions" / f"{number}.safetensors" for number in range(1, count + 1)]
            print(f"{printable(args.data)} is cut into {counted(count, 'partition')}")
        uploading.check_prefix(s3, bucket, prefix, [file.name for file in files])
        done = uploading.upload(s3, files, bucket, prefix, UploadLines(files))
    sent = f"{counted(done.files - done.there_before, 'file')} uploaded"
    print(f"{sent}, {done.there_before:,} there already, all {done.files:,} checked: s3://{bucket}/{prefix}/")
    print(f"{counted(rows, 'galaxy', 'galaxies')}. A run over them:")
    own = {} if bucket == place.bucket else {"bucket": place.bucket or bucket, "data_bucket": bucket}
    flags = ["--data-prefix", prefix, *(["--data-bucket", bucket] if own else [])]
    print(f"  {place.command('invoke', *flags)}")
    print("or with the execution input")
    keys = {**(own or {"bucket": bucket}), "data_prefix": prefix}
    print(f"  {json.dumps(keys)}")
    report = {"bucket": bucket, "prefix": prefix, "galaxies": rows, **asdict(done), "input": keys, "warnings": warnings}
    write_json(report, args.json, print)
    return 0


def destination(given: str | None, data: Path, place: Place) -> tuple[str, str]:
    """Finds out where galaxies go.

    Args:
        given: PREFIX or s3://BUCKET/PREFIX; None takes a prefix after the data.
        data: the file or folder.
        place: whose bucket it is where none is named.

    Returns:
        Bucket and prefix.

    Raises:
        UsageError: it is no such place.
    """
    bucket, text = place.bucket, given if given is not None else f"datasets/{data.resolve().stem}"
    if text.startswith(S3):
        named, _, text = text.removeprefix(S3).partition("/")
        bucket = named
    prefix = text.strip("/")
    if not bucket:
        raise UsageError(f"the bucket of {place.name} is unknown: name it as s3://BUCKET/PREFIX")
    if not prefix or ".." in prefix.split("/") or printable(prefix) != prefix:
        raise UsageError(f"the prefix is {printable(text)!r}; allowed: an S3 prefix of one line, without '..' in it")
    return bucket, prefix


class UploadLines:
    """Prints how far an upload is, a line each second at most."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._count, self._total = 0, len(files)
        self._bytes, self._all_bytes = 0, sum(file.stat().st_size for file in files)
        self._started = self._told = time.monotonic()
        self._lock = threading.Lock()  # files come in several threads

    def __call__(self, file: Path, sent: int) -> None:
        with self._lock:
            self._count += 1
            self._bytes += file.stat().st_size
            now = time.monotonic()
            if now - self._told >= 1.0 or self._count == self._total:
                self._told = now
                megabytes = f"{self._bytes / 1e6:,.0f} of {self._all_bytes / 1e6:,.0f} MB"
                print(
                    f"{now - self._started:6.1f} s  {self._count:,} of {self._total:,} files, {megabytes}", flush=True
                )
