"""cosmicai watch: follows a run that somebody has started, until its end."""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from lambda_image.events import parse
from lambda_image.json_text import parse_json
from scripts import execution
from scripts.invoke import follow
from scripts.json_file import add_json
from scripts.place_flags import add_place_of_runs
from scripts.runs import outcome
from scripts.runs import place as places
from scripts.runs.finding import find_execution
from scripts.runs.place import ANYWHERE
from scripts.runs.result_folder import result_folder
from scripts.runs.run_json import check_run_json, write_run_json
from scripts.runs.run_progress import RunProgress
from scripts.stack.account import explained
from scripts.user_files import add_overwrite

HELP = "follow a run until its end, on AWS or on a local AWS endpoint"
EXAMPLE = "cosmicai watch invoke-20261128-120123-65e185bb6dcc --region eu-west-1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the run: what cosmicai invoke called it, or the ARN of its execution")
    parser.add_argument("--out", type=Path, help="a folder for the result objects; without it, the tables are shown")
    add_json(parser, "how the run ended, and its figures")
    add_overwrite(parser, "the results of an earlier run in the folder that --out names, and the file of --json")
    add_place_of_runs(parser)


def run(args: argparse.Namespace) -> int:
    check_run_json(args.json, args.out, overwrite=args.overwrite)
    progress = RunProgress(sys.stdout, [])
    with ExitStack() as stack:
        # Before hours of waiting
        out = stack.enter_context(result_folder(args.out, overwrite=args.overwrite)) if args.out is not None else None
        stack.enter_context(explained(args.endpoint_url or "AWS"))
        place = places.open_place(args)
        described = find_execution(place, args.id)
        given = parse_json(described["input"])
        started = execution.started_run(described["executionArn"], given)
        if described["status"] == "RUNNING":
            ranks = parse(given, started.arn, ANYWHERE).world_size
            described = follow(place, started, progress, ranks)
        results = outcome.results_of(place, started, described, progress.print)
        write_run_json(args.json, described, results, progress.print)
        if out is not None:
            out.clear(progress.print)
            return outcome.report(described, out, outcome.collect(results, out, progress.print), progress.print)
        outcome.show_results(results, progress.print)
        return outcome.tell_end(described, None)
