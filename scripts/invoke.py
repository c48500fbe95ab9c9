"""cosmicai invoke: a run on AWS, or on an AWS endpoint that is there already, as `docker compose` starts one."""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from lambda_image.errors import UsageError
from lambda_image.events import MAX_WORLD_SIZE
from lambda_image.partition_names import printable
from scripts import execution
from scripts.catalogue.run_source import RUN_NAME, ResultFolderSource
from scripts.deploy import agree
from scripts.flag_values import check_whole
from scripts.json_file import add_json
from scripts.place_flags import add_place_of_runs
from scripts.runs import outcome, readiness, run_input, uploading
from scripts.runs import place as places
from scripts.runs.following import Follower, StartedRun, ways_on
from scripts.runs.place import Place
from scripts.runs.rank_watch import RankWatch
from scripts.runs.rendezvous import START, RendezvousChoice, rendezvous_for
from scripts.runs.result_folder import result_folder
from scripts.runs.run_input import JudgedInput
from scripts.runs.run_json import check_run_json, write_run_json
from scripts.runs.run_progress import RunProgress
from scripts.stack.account import explained
from scripts.stack.server_on_demand import START_S, server_on_demand, standing_server
from scripts.user_files import add_overwrite, check_there

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
        "--out",
        type=Path,
        help=f"a folder for the result objects (default: {OUT}, and an earlier run moves from there to its own ID)",
    )
    add_json(parser, "how the run ended, and its figures")
    add_overwrite(parser, "the results of an earlier run in the folder that --out names, and the file of --json")
    add_place_of_runs(parser)


def run(args: argparse.Namespace) -> int:
    check_there("--data", args.data, "a dataset, or a folder of partitions", folders=True)
    given = run_input.read(args)
    named = bool(given.keys() & set(run_input.PLACES))
    with_data = args.data is not None or not (named or args.input or args.given)
    if args.data and named:
        raise UsageError("--data and an input that names data are two places of data: give one of them")
    places.check(args)
    execution.check_batch_size(args.batch_size)
    check_whole("--world-size", args.world_size, most=MAX_WORLD_SIZE)
    if args.name is not None and not RUN_NAME.fullmatch(args.name):
        raise UsageError(f"--name is {args.name!r}; allowed: letters, digits and any of _+=@-, at most 80")
    if args.detach and args.rendezvous == START:
        raise UsageError(f"--rendezvous {START} ends with this command: cosmicai rendezvous up starts one that stays")
    check_run_json(args.json, None if args.detach else args.out or OUT, overwrite=args.overwrite)
    progress = RunProgress(sys.stdout, [])
    with ExitStack() as stack:
        folder = result_folder(args.out or OUT, overwrite=args.overwrite, keep=args.out is None)
        out = None if args.detach else stack.enter_context(folder)
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cosmicai-")))
        stack.enter_context(explained(args.endpoint_url or "AWS"))
        data = DataOfOneRun(args.data, *execution.partition_files(args.data)) if args.data else None
        place = places.open_place(args)
        if with_data and data is None:  # now that there is a place, since galaxies take a second to make
            data = DataOfOneRun(None, execution.sample(scratch), [])
        name = args.name or execution.new_name("invoke", datetime.now(UTC))
        beginning = Beginning(place, name, data, args.rendezvous, progress, stack)
        if args.name is not None:
            execution.check_name_is_free(place, name)
        started, judged = beginning.begin(given)
        if out is None:
            for line in ways_on(place, name):
                progress.print(line)
            write_run_json(args.json, {"executionArn": started.arn, "status": "RUNNING"}, None, progress.print)
            return 0
        out.clear(progress.print)  # now that nothing refuses the run any more
        if judged.totals:
            progress = RunProgress(sys.stdout, judged.totals)
        described = follow(place, started, progress, judged.world_size)
        # A local endpoint keeps objects in memory, and S3 costs. Those of a run that was not seen to end stay, since it
        # may be reading them.
        beginning.remove_data(started.bucket)
        results = outcome.results_of(place, started, described, progress.print)
        count = outcome.collect(results, out, progress.print)
        write_run_json(args.json, described, ResultFolderSource(out.given), progress.print)
        return outcome.report(described, out, count, progress.print)


@dataclass(frozen=True)
class DataOfOneRun:
    """Files that are uploaded for one run and removed after it."""

    given: Path | None  # as --data named them; None for sample galaxies
    files: Sequence[Path]
    warnings: Sequence[str]  # about what lies beside them

    def keys(self, prefix: str) -> dict[str, Any]:
        """Makes the execution input for them, of which flags and a file may change the rest."""
        one = self.given is not None and self.given.is_file()
        where = {"data_path": f"{prefix}/{self.files[0].name}"} if one else {"data_prefix": prefix}
        told = {"warnings": list(self.warnings)} if self.warnings else {}
        return {"world_size": SAMPLE_RANKS, "batch_size": SAMPLE_BATCH, **where, **told}


@dataclass(frozen=True)
class Beginning:
    """Everything from the flags to the execution that has begun."""

    place: Place
    name: str  # of the execution
    data: DataOfOneRun | None  # None where the data is on S3
    rendezvous: str | None  # the flag
    progress: RunProgress
    until: ExitStack  # the end of the run, at which a rendezvous server goes that was started for it

    @property
    def prefix(self) -> str:
        """Of this run's data alone, since others may use the bucket at the same time or before."""
        return f"data/{self.name}"

    def begin(self, given: Mapping[str, Any]) -> tuple[StartedRun, JudgedInput]:
        """Judges an input, waits for the functions, and starts the execution.

        Args:
            given: what flags and a file say.

        Raises:
            RunError: it cannot begin. What was uploaded for it is removed again.
            botocore's errors: AWS refuses or does not answer. The same holds.
        """
        bucket = given.get("bucket") or given.get("bucket_name") or _bucket(self.place)
        choice = rendezvous_for(self.place, given, self.rendezvous)
        keys = {"bucket": bucket, **(self.data.keys(self.prefix) if self.data else {}), **given, **choice.keys}
        functions = readiness.configurations(self.place)
        arn = self.place.execution_arn(self.name)
        init = functions.get("init", {})
        run_input.check(self.place, keys, arn, init)  # before anything is sent
        try:
            if self.data:
                uploading.upload(self.place.client("s3"), self.data.files, bucket, self.prefix)
                what = printable(self.data.given or "sample galaxies")
                self.progress.print(f"{what} uploaded to s3://{bucket}/{self.prefix}/")
            judged = run_input.judge(self.place, keys, arn, init, self.progress.print)
            room, limit = readiness.room(self.place), judged.request.max_concurrency
            keys |= readiness.turns(room, judged.world_size, limit, self.progress.print)
            readiness.wait_until_active(self.place, functions, self.progress.print)
            at_once = min(judged.world_size or 1, limit or MAX_WORLD_SIZE, room or MAX_WORLD_SIZE)
            if self.place.local is not None:
                self.place.local.wait_until_ready(at_once, readiness.LOCAL_READY_S)
            if judged.world_size is None or at_once == judged.world_size > 1:  # others than these never meet
                keys |= self.server(choice, judged, functions.get("rank", {}))
            sent = {key: value for key, value in keys.items() if value is not None}
            self.progress.print(f"running {json.dumps(sent)}")
            return execution.begin(self.place, self.name, sent), judged
        except BaseException:
            self.remove_data(bucket)
            raise

    def server(self, choice: RendezvousChoice, judged: JudgedInput, function: Mapping[str, Any]) -> Mapping[str, Any]:
        """Finds a rendezvous server, or starts one for as long as the run is followed, if that is chosen.

        Returns:
            What is added to the execution input.
        """
        if not choice.sought:
            return {}
        seconds = readiness.working_s(judged.totals, function)
        if choice.started or (seconds or 0.0) >= START_S:
            wanted = None if choice.started else seconds
            endpoint = self.until.enter_context(server_on_demand(self.place, wanted, self.progress.print))
        elif (endpoint := standing_server(self.place)) is None:
            self.progress.print(choice.sentence)
        return {} if endpoint is None else {"rendezvous_endpoint": endpoint}

    def remove_data(self, bucket: str) -> None:
        """Removes what was uploaded for the run, if that is possible."""
        if self.data:
            with suppress(BotoCoreError, ClientError, ResponseParserError):
                uploading.remove(self.place.client("s3"), self.data.files, bucket, self.prefix)


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


def _bucket(place: Place) -> str:
    if place.bucket is None:
        raise UsageError(f"the bucket of {place.name} is unknown, as CloudFormation denies to show it: give --bucket")
    return place.bucket
