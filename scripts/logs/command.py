"""cosmicai logs: what Lambda reports of the invocations of a run, or of files that were exported from its logs."""

import argparse
from pathlib import Path
from typing import Any

from lambda_image.cost import LAMBDA_GB_SECOND
from lambda_image.errors import UsageError
from scripts.deploy import say
from scripts.json_file import add_json, write_json
from scripts.logs.exports import oldest_first, read_export
from scripts.logs.history import ExecutionTimes, execution_times, read_history
from scripts.logs.invocations import FoundInvocations, find_invocations
from scripts.logs.run_logs import RunLogs, logs_of_run
from scripts.logs.tables import rows, table, totals, write_csv
from scripts.place_flags import add_place_of_runs
from scripts.runs.outcome import show
from scripts.runs.place import Place, open_place
from scripts.stack.account import explained
from scripts.user_files import add_overwrite, check_new, check_there
from scripts.words import counted

HELP = "show what Lambda reports of the invocations of a run: times, memory, what is billed"
EXAMPLE = "cosmicai logs galaxies-20261128-120123-65e185bb6dcc --csv invocations.csv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", help="name or ARN of an execution, whose logs are asked of CloudWatch")
    parser.add_argument(
        "--file",
        type=Path,
        action="append",
        default=[],
        metavar="EXPORT",
        help="an exported log instead: CSV of Logs Insights or of the console, JSON of aws logs filter-log-events, or "
        "text; may be repeated",
    )
    parser.add_argument(
        "--history",
        type=Path,
        metavar="FILE",
        help="beside --file: what aws stepfunctions get-execution-history has printed",
    )
    parser.add_argument(
        "--architecture",
        choices=sorted(LAMBDA_GB_SECOND),
        help="beside --file: processor of the functions, by which they cost (default: x86_64)",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a line for each invocation")
    add_json(parser, "invocations and totals")
    add_overwrite(parser, "the files that --csv and --json name")
    add_place_of_runs(parser)


def run(args: argparse.Namespace) -> int:
    if (args.id is None) == (not args.file):
        raise UsageError("which logs are meant? Give the ID of an execution, or --file EXPORT")
    if args.id is not None and (args.history or args.architecture):
        raise UsageError("--history and --architecture go with --file: for an ID both are asked")
    for file in args.file:
        check_there("--file", file, "an exported log")
    check_there("--history", args.history, "what aws stepfunctions get-execution-history printed")
    check_new({"--csv": args.csv, "--json": args.json}, overwrite=args.overwrite, read=args.file)
    if args.file:
        found, times, about = _of_files(args), _times(args.history), {}
        architecture = args.architecture or "x86_64"
    else:
        with explained(args.endpoint_url or "AWS"):
            place = open_place(args)
            logs = logs_of_run(place, args.id)
            architecture = _architecture(place)
        found, times = logs.found, logs.times
        about = {"execution": logs.execution, "status": logs.status}
        _tell(logs)
    _show(args, found, totals(found, times, architecture), about)
    if not found.invocations:
        say("there is no REPORT of an invocation in what was read")
        return 1
    return 0


def _of_files(args: argparse.Namespace) -> FoundInvocations:
    events = [event for file in args.file for event in oldest_first(read_export(file))]
    return find_invocations(events)


def _times(history: Path | None) -> ExecutionTimes:
    return ExecutionTimes(None, None) if history is None else execution_times(read_history(history))


def _architecture(place: Place) -> str:
    client = place.client("lambda")
    found = client.get_function_configuration(FunctionName=place.functions["rank"])
    return str(found.get("Architectures", ["x86_64"])[0])


def _tell(logs: RunLogs) -> None:
    say(f"run {logs.run_id}: {logs.status.lower()}")
    if silent := logs.silent():
        say(
            f"note: {counted(silent, 'rank')} of {logs.ranks:,} {'is' if silent == 1 else 'are'} not reported "
            "(CloudWatch shows reports some seconds late, and a rank whose start was refused has none)"
        )


def _show(args: argparse.Namespace, found: FoundInvocations, summed: dict[str, Any], about: dict[str, str]) -> None:
    listed = rows(found)
    show(table(listed, summed))
    if args.csv:
        write_csv(args.csv, listed)
        say(f"{counted(len(listed), 'invocation')} in {args.csv}")
    write_json({**about, "totals": summed, "invocations": listed}, args.json, say)
