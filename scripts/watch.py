"""cosmicai watch: follows a run that somebody has started, until its end."""

import argparse
import sys
from pathlib import Path

from lambda_image.events import parse
from lambda_image.json_text import parse_json
from scripts import execution
from scripts.invoke import follow
from scripts.place_flags import add_place_of_runs
from scripts.progress import RunProgress
from scripts.result_folder import result_folder
from scripts.runs import place as places
from scripts.runs.finding import find_execution
from scripts.runs.run_input import ANYWHERE
from scripts.stack.account import explained

HELP = "follow a run until its end, on AWS or on a local AWS endpoint"
EXAMPLE = "cosmicai watch invoke-20261128-120123-65e185bb6dcc --region eu-west-1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the run: what cosmicai invoke called it, or the ARN of its execution")
    parser.add_argument("--out", type=Path, help="a folder for the result objects; without it, the tables are shown")
    add_place_of_runs(parser)


def run(args: argparse.Namespace) -> int:
    progress = RunProgress(sys.stdout, [])
    with explained(args.endpoint_url or "AWS"):
        place = places.open_place(args)
        described = find_execution(place, args.id)
        given = parse_json(described["input"])
        started = execution.started_run(described["executionArn"], given)
        if described["status"] == "RUNNING":
            ranks = parse(given, started.arn, ANYWHERE).world_size
            described = follow(place, started, progress, ranks)
        results = execution.results_of(place, started, described, progress.print)
        if args.out is not None:
            with result_folder(args.out) as out:
                out.clear()
                count = execution.collect(results, out, progress.print)
                return execution.report(described, out, count, progress.print)
        execution.show_results(results, progress.print)
        return execution.tell_end(described, None)
