"""cosmicai invoke: a run on AWS, or on an AWS endpoint that is there already, as `docker compose` starts one."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from lambda_image.errors import UsageError
from lambda_image.partition_names import printable
from scripts import execution
from scripts.deploy import agree
from scripts.progress import RunProgress
from scripts.result_folder import result_folder
from scripts.runs import place as places
from scripts.runs import readiness, run_input, uploading
from scripts.runs.following import Follower, StartedRun, ways_on
from scripts.runs.place import Place
from scripts.runs.rank_watch import RankWatch
from scripts.runs.rendezvous import rendezvous_for
from scripts.runs.stored_results import StoredResults
from scripts.stack.account import explained

HELP = "make a run on AWS, or on a local AWS endpoint that is up (SERVE=1 docker compose up serve)"
EXAMPLE = "cosmicai invoke --region eu-west-1 --data-prefix datasets/galaxies"

OUT = Path("out/invoke")
SAMPLE_RANKS, SAMPLE_BATCH = 4, 256  # of data that is uploaded for the run, where the flags do not say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    run_input.add_arguments(parser)
    parser.add_argument(
        "--data",
        type=Path,
        help="a dataset file, or a folder of partitions, that is uploaded for this run and removed after it; without "
        f"data and an input, {execution.SAMPLE_GALAXIES:,} sample galaxies",
    )
    parser.add_argument("--name", help="the ID of the run; without it, a new one")
    parser.add_argument("--detach", action="store_true", help="start the run, and do not wait for its end")
    parser.add_argument(
        "--out", type=Path, default=OUT, help="a folder for the result objects; those of an earlier run are replaced"
    )
    places.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    given = run_input.read(args)
    with_data = not given.keys() & set(run_input.PLACES)
    if args.data and not with_data:
        raise UsageError("--data and an input that names data are two places of data: give one of them")
    if args.batch_size is not None:
        execution.check_batch_size(args.batch_size)
    progress = RunProgress(sys.stdout, [])
    name = args.name or execution.new_name("invoke", datetime.now(UTC))
    with (
        result_folder(args.out) as out,
        tempfile.TemporaryDirectory(prefix="cosmicai-") as scratch,
        explained(args.endpoint_url or "AWS"),
    ):
        files, warnings = _files(args.data, Path(scratch)) if with_data else ([], [])
        place = places.open_place(args)
        bucket = given.get("bucket") or given.get("bucket_name") or _bucket(place)
        given = {"bucket": bucket, **given}
        prefix = f"data/{name}"  # of this run alone: others may use the bucket, at the same time or before
        functions = readiness.configurations(place)
        choice = rendezvous_for(place, given, args.rendezvous)
        if choice.sentence:
            progress.print(choice.sentence)
        given = {**given, **choice.keys}
        arn = f"{place.machine.replace(':stateMachine:', ':execution:')}:{name}"
        init = functions.get("init", {})
        if with_data:
            given = _defaults(args.data, files, prefix, warnings) | given
            run_input.check(place, given, arn, init)  # before anything is sent
            uploading.upload(place.client("s3"), files, bucket, prefix)
            progress.print(f"{printable(args.data or 'sample galaxies')} uploaded to {place.name}")
        judged = run_input.judge(place, given, arn, init, progress.print)
        readiness.wait_for(place, functions, judged.world_size, judged.request.fmi_enabled, progress.print)
        if not args.detach:
            out.clear()
        given = {key: value for key, value in given.items() if value is not None}
        progress.print(f"running {json.dumps(given)}")
        started = execution.begin(place, name, given)
        if args.detach:
            for line in ways_on(place, name):
                progress.print(line)
            return 0
        if judged.totals:
            progress = RunProgress(sys.stdout, judged.totals)
        described = follow(place, started, progress, judged.world_size)
        # A local endpoint keeps objects in memory, and S3 costs. Those of a run that was not seen to end stay, since it
        # may be reading them.
        with suppress(BotoCoreError, ClientError, ResponseParserError):
            uploading.remove(place.client("s3"), files, bucket, prefix)
        results = StoredResults(place.client("s3"), started.bucket, started.result_path)
        return execution.report(described, out, execution.collect(results, out, progress.print), progress.print)


def follow(place: Place, started: StartedRun, progress: RunProgress, ranks: int | None) -> dict[str, Any]:
    """Follows a run until its end, with its ranks on the screen and a question at Ctrl-C.

    Args:
        place: where it runs.
        started: the run.
        progress: shows it.
        ranks: how many ranks it has; None where only the run knows.

    Returns:
        The execution as Step Functions describes it.

    Raises:
        KeyboardInterrupt: the user leaves; the run goes on.
        botocore's errors: AWS refuses, or has not answered for minutes; the run goes on.
    """
    watch = RankWatch(place, started.arn, started.bucket, started.result_path, progress, ranks)
    with progress:
        return Follower(place, started, progress, agree if sys.stdin.isatty() else None, watch).follow()


def _files(data: Path | None, scratch: Path) -> tuple[Sequence[Path], Sequence[str]]:
    """The partitions to upload, and warnings about what lies beside them."""
    return (execution.sample(scratch), []) if data is None else execution.partition_files(data)


def _defaults(data: Path | None, files: Sequence[Path], prefix: str, warnings: Sequence[str]) -> dict[str, Any]:
    """The execution input for uploaded files, of which flags and the file may change the rest."""
    one = data is not None and data.is_file()
    where = {"data_path": f"{prefix}/{files[0].name}"} if one else {"data_prefix": prefix}
    told = {"warnings": list(warnings)} if warnings else {}
    return {"world_size": SAMPLE_RANKS, "batch_size": SAMPLE_BATCH, **where, **told}


def _bucket(place: Place) -> str:
    if place.bucket is None:
        raise UsageError(f"the bucket of {place.name} is unknown, as CloudFormation denies to show it: give --bucket")
    return place.bucket
