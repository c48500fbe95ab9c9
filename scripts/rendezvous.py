"""cosmicai rendezvous: a rendezvous server on AWS that stands between runs, and what runs there now."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime

from lambda_image.cost import BillingTerms, rendezvous_lines, usd_of
from lambda_image.errors import UsageError
from scripts.deploy import say
from scripts.place_flags import add_place_of_runs
from scripts.runs.place import open_place
from scripts.stack.account import AccountError, explained
from scripts.stack.server_on_demand import endpoint_of
from scripts.stack.server_record import check_zone, put_record, remove_record
from scripts.stack.server_task import NAME_TAG, OF_RUN, PORT, STANDING, ZONE_TAG, ServerTask, ServerTasks
from scripts.words import counted

HELP = "start, stop or show a rendezvous server on AWS that serves many runs; one run gets its own by itself"
EXAMPLE = "cosmicai rendezvous up --max-idle-minutes 120"
ACTIONS = ("up", "down", "status")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=ACTIONS, help="start one, stop all that such commands have started, or show")
    parser.add_argument(
        "--max-idle-minutes",
        type=float,
        default=60.0,
        metavar="MINUTES",
        help="beside up: without use, after which it ends by itself; 0 keeps it until `down`",
    )
    parser.add_argument("--hosted-zone", metavar="ID", help="beside up: a zone of Route 53 that is to name it")
    parser.add_argument("--name", help="beside --hosted-zone: its name there, such as rendezvous.example.org")
    add_place_of_runs(parser)


def run(args: argparse.Namespace) -> int:
    if (args.hosted_zone is None) != (args.name is None):
        raise UsageError("--hosted-zone and --name go together: the zone, and the name in it")
    if args.action != "up" and args.name is not None:
        raise UsageError(f"--hosted-zone and --name go with up, and not with {args.action}")
    if not 0 <= args.max_idle_minutes < 1e6:
        raise UsageError(f"--max-idle-minutes is {args.max_idle_minutes:g}; allowed: 0 or more")
    with explained(args.endpoint_url or "AWS"):
        tasks = ServerTasks(open_place(args))
        if args.action == "up":
            up(tasks, args.max_idle_minutes * 60 or None, args.hosted_zone, args.name, say)
        elif args.action == "down":
            down(tasks, say)
        else:
            show(tasks, say)
    return 0


def up(
    tasks: ServerTasks, max_idle_s: float | None, zone: str | None, name: str | None, tell: Callable[[str], None]
) -> None:
    """Starts a standing server, unless there is one, and waits until it answers.

    Raises:
        AccountError: it does not come up. Nothing is left running then.
    """
    if balanced := tasks.place.outputs.get("RendezvousEndpoint"):
        tell(f"the stack has a rendezvous server that always runs: {balanced}")
        return
    if (there := next((task for task in tasks.running() if task.started_by == STANDING), None)) is not None:
        tell(f"a rendezvous server is up already: {endpoint_of(tasks, there) or there.status.lower()}")
        return
    route53 = tasks.place.client("route53") if zone and name else None
    if zone and name:
        check_zone(route53, zone, name)
    tags = {ZONE_TAG: zone, NAME_TAG: name} if zone and name else {}
    task = tasks.start(STANDING, max_idle_s, tags)
    try:
        task = tasks.wait_until_ready(task, tell)
        addresses = tasks.addresses(task)
        if not addresses:
            raise AccountError(
                "the rendezvous server has no public address: its subnets (RendezvousSubnets) must be public, with a "
                "route to an internet gateway"
            )
        if zone and name:
            put_record(route53, zone, name, addresses)
    except BaseException:
        tasks.stop(task)
        raise
    endpoint = endpoint_of(tasks, task)
    tell(f"a rendezvous server is up: {endpoint} ({', '.join(addresses)})")
    tell(f'`cosmicai invoke` finds it; other runs name it in their input: "rendezvous_endpoint": "{endpoint}"')
    usd = _hour_usd(tasks)
    last = "cosmicai rendezvous down" if max_idle_s is None else f"{max_idle_s / 60:g} minutes after its last use"
    tell(f"it costs {usd:.4f} USD an hour, until {last}")


def down(tasks: ServerTasks, tell: Callable[[str], None]) -> None:
    """Stops every task that a command of this project has started, and removes their names."""
    found = tasks.running()
    for task in found:
        addresses = tasks.addresses(task)
        tasks.stop(task)
        tell(f"stopped {_described(tasks, task, addresses)}")
        zone, name = task.tags.get(ZONE_TAG), task.tags.get(NAME_TAG)
        if zone and name and remove_record(tasks.place.client("route53"), zone, name, addresses):
            tell(f"removed the record of {name}")
    if not found:
        tell("no rendezvous server runs that could be stopped")
    if "RendezvousEndpoint" in tasks.place.outputs:
        tell("the one behind the load balancer goes with cosmicai deploy --parameter WithLoadBalancer=false")


def show(tasks: ServerTasks, tell: Callable[[str], None]) -> None:
    """Shows what runs, and what it costs."""
    found = tasks.running()
    for task in found:
        tell(_described(tasks, task, tasks.addresses(task)))
    if balanced := tasks.place.outputs.get("RendezvousEndpoint"):
        tell(f"{balanced}: behind the load balancer, always there")
    elif not found:
        tell("no rendezvous server runs, and none costs anything")
    if found:
        usd = len(found) * _hour_usd(tasks)
        tell(f"{counted(len(found), 'server')}, {usd:.4f} USD an hour")


def _described(tasks: ServerTasks, task: ServerTask, addresses: list[str]) -> str:
    where = task.tags.get(NAME_TAG) or next(iter(addresses), "no address yet")
    whose = "of one run" if task.started_by == OF_RUN else "standing"
    state = "ready" if task.ready else task.status.lower()
    minutes = "" if task.since is None else f", for {(datetime.now(UTC) - task.since).total_seconds() / 60:.0f} min"
    return f"{where}:{PORT}: {whose}, {state}{minutes}"


def _hour_usd(tasks: ServerTasks) -> float:
    """Of one server."""
    client = tasks.place.client("lambda")
    found = client.get_function_configuration(FunctionName=tasks.place.functions["rank"])
    return usd_of(rendezvous_lines(3600.0, BillingTerms(str(found.get("Architectures", ["x86_64"])[0]))))
