"""cosmicai deploy: brings the system onto AWS, shows what that changes and costs, and says how it stands."""

import argparse
import sys
import time
from contextlib import redirect_stdout

from lambda_image.errors import UsageError
from scripts.extras import require
from scripts.place_flags import add_place, check_name
from scripts.stack import template
from scripts.stack.account import Account, explained
from scripts.stack.change_set import Stack
from scripts.stack.deployment import Deployment, Wishes
from scripts.stack.status import show_status
from scripts.stack.template import FILLED_IN

HELP = "create or change the stack on AWS: bucket, functions, state machine, rendezvous server"
EXAMPLE = "cosmicai deploy --region eu-west-1 --parameter RankMemory=1769"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    parser.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the stack, which keeps its value until it is given again; may be repeated. "
        "--list-parameters lists all",
    )
    parser.add_argument(
        "--tag",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a tag of everything in the stack; may be repeated",
    )
    parser.add_argument("--image", metavar="URI", help="an image of the functions that is in ECR, instead of a new one")
    parser.add_argument("--rendezvous-image", metavar="URI", help="the same for the rendezvous server")
    parser.add_argument("--slim", action="store_true", help="build the functions' image without PyTorch")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would change, build nothing and change nothing"
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--status", action="store_true", help="show outputs and drift of the stack, and change nothing"
    )
    instead.add_argument("--template", action="store_true", help="print the template, and change nothing")
    instead.add_argument("--list-parameters", action="store_true", help="list the parameters of the stack")


def run(args: argparse.Namespace) -> int:
    if args.template:
        print(template.stack_template(), end="")
        return 0
    require("yaml")
    if args.list_parameters:
        for spec in template.parameters(template.stack_template()).values():
            if spec.name not in FILLED_IN:
                print(f"{spec.name}={spec.default}\n    {spec.description}")
        return 0
    check_name(args.stack)
    wishes = Wishes(
        args.stack,
        template.read_assignments(args.parameter, "--parameter"),
        template.read_assignments(args.tag, "--tag") if args.tag else None,
        {
            name: uri
            for name, uri in (("LambdaImage", args.image), ("RendezvousImage", args.rendezvous_image))
            if uri is not None
        },
        args.slim,
        args.dry_run,
        args.yes,
    )
    template.check_parameters(wishes.parameters, template.parameters(template.stack_template()))
    if not (args.yes or args.dry_run or args.status):
        check_answerable()
    with explained():
        account = Account.open(args.profile, args.region)
        if args.status:
            stack = Stack(account.client("cloudformation"), args.stack)
            return 0 if show_status(stack, account.region, say) else 1
        return 0 if Deployment(account, wishes, say, agree, time.sleep).run() else 1


def check_answerable() -> None:
    """Checks that somebody can be asked.

    Raises:
        UsageError: the input is no terminal.
    """
    if not sys.stdin.isatty():
        raise UsageError("nobody can be asked, since the input is no terminal: give --yes, or --dry-run to look only")


def agree(question: str) -> bool:
    """Asks at the terminal; anything but yes is no."""
    try:
        # At the error output under --quiet, and at the terminal that both are otherwise.
        with redirect_stdout(sys.stdout if sys.stdout.isatty() else sys.stderr):
            return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def say(line: str) -> None:
    """Prints a line at once."""
    print(line, flush=True)
