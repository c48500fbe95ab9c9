"""cosmicai destroy: removes what `cosmicai deploy` has made. The data stay, unless they are to go, too."""

import argparse
import time

from scripts.deploy import agree, check_answerable, say
from scripts.place_flags import add_place, check_name
from scripts.stack.account import Account, explained
from scripts.stack.removal import Removal

HELP = "remove the stack from AWS; the bucket with data and results stays unless --with-data is given"
EXAMPLE = "cosmicai destroy --region eu-west-1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    parser.add_argument(
        "--with-data",
        action="store_true",
        help="empty and remove the buckets that the stack has made, old versions included; a bucket that was given as "
        "ExistingBucket stays",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="show what would go, and remove nothing")


def run(args: argparse.Namespace) -> int:
    check_name(args.stack)
    if not (args.yes or args.dry_run):
        check_answerable()
    with explained():
        account = Account.open(args.profile, args.region)
        answer = (lambda _: True) if args.yes else agree
        removal = Removal(account, args.stack, args.with_data, say, answer, time.sleep, args.dry_run)
        return 0 if removal.run() else 1
