"""The flags that say where a command works: which stack, in which region, as whom, or at which endpoint."""

import argparse
import os
import re

from lambda_image.errors import UsageError

STACK = "cosmicai"
STACK_NAME = re.compile(r"[a-z][a-z0-9-]{0,20}")  # bucket, functions and load balancer take their names from it


def add_place(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that say which stack is meant, and where."""
    parser.add_argument("--stack", default=STACK, help="name of the stack, with which all names in it begin")
    _add_account(parser)


def add_place_of_runs(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that say where runs take place, which may be another endpoint than AWS's."""
    parser.add_argument("--stack", help=f"name of the stack; without it, {STACK}")
    _add_account(parser)
    parser.add_argument(
        "--endpoint-url",
        default=os.environ.get("AWS_ENDPOINT_URL"),
        help="the local AWS endpoint, or another that is not AWS; without it, the variable AWS_ENDPOINT_URL says so",
    )


def _add_account(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--region", help="without it, the profile or AWS_REGION says so")
    parser.add_argument(
        "--profile", help="of ~/.aws/config; without it, AWS_PROFILE or the usual AWS_* variables count"
    )


def check_name(stack: str) -> None:
    """Checks the name of a stack.

    Raises:
        UsageError: what is named after the stack could not have such a name.
    """
    if not STACK_NAME.fullmatch(stack):
        allowed = "small letters, digits and hyphens, at most 21, the first a letter"
        raise UsageError(f"--stack is {stack}; allowed: {allowed}")
