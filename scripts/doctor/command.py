"""cosmicai doctor: what only the user's own account can tell, with what to do about each thing that is wrong."""

import argparse

from lambda_image.address import Address
from lambda_image.errors import UsageError
from scripts.deploy import say
from scripts.doctor.account_checks import check_bucket, check_functions, check_quotas, check_versions
from scripts.doctor.connection import PairAnswers, ask_pair, judge, reach_from_here, to_json
from scripts.doctor.findings import Finding, Findings
from scripts.doctor.servers import servers_for
from scripts.json_file import add_json, write_json
from scripts.place_flags import add_place_of_runs
from scripts.runs.place import Place, open_place
from scripts.stack.account import explained
from scripts.user_files import add_overwrite, check_new

HELP = "check what is on AWS, and try how its functions reach each other: NAT, punching, speed, cold start"
EXAMPLE = "cosmicai doctor --region eu-west-1 --json doctor.json"
MAX_MEGABYTES = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rendezvous",
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="a rendezvous server to use; may be repeated. Without it two are started and stopped, which costs less "
        "than 0.01 USD",
    )
    parser.add_argument("--megabytes", type=int, default=16, help="sent each way between the two functions")
    parser.add_argument("--no-connection", action="store_true", help="look at the parts only, and start nothing")
    add_json(parser, "findings and measurements")
    add_overwrite(parser, "the file that --json names")
    add_place_of_runs(parser)


def run(args: argparse.Namespace) -> int:
    if not 1 <= args.megabytes <= MAX_MEGABYTES:
        raise UsageError(f"--megabytes is {args.megabytes}; allowed: 1 to {MAX_MEGABYTES}")
    for server in args.rendezvous:
        try:
            Address.parse(server)
        except ValueError as allowed:
            raise UsageError(f"--rendezvous is {server}; allowed: {allowed}") from allowed
    check_new({"--json": args.json}, overwrite=args.overwrite)
    with explained(args.endpoint_url or "AWS"):
        place = open_place(args)
    findings = Findings(say)
    with findings.looking_at("credentials"):
        who = place.client("sts").get_caller_identity()
        findings.add(Finding("credentials", "ok", f"account {who['Account']}, {place.region}, as {who['Arn']}"))
    _parts(place, findings)
    pair = None if args.no_connection else _connection(place, findings, args)
    write_json({"findings": findings.to_json(), "functions": to_json(pair)}, args.json, say)
    return 1 if findings.failed else 0


def _parts(place: Place, findings: Findings) -> None:
    if place.local is not None:
        findings.add(Finding("stack", "skipped", f"a local endpoint, {place.name}"))
    else:
        findings.add(Finding("stack", "ok", f"{place.stack}, version {place.outputs.get('Version')}"))
    with findings.looking_at("functions"):
        findings.add(*check_functions(place))
    with findings.looking_at("quotas"):
        findings.add(check_quotas(place))
    with findings.looking_at("bucket"):
        findings.add(check_bucket(place))
    with findings.looking_at("versions"):
        findings.add(*check_versions(place))


def _connection(place: Place, findings: Findings, args: argparse.Namespace) -> PairAnswers | None:
    pair = None
    with findings.looking_at("connection"), servers_for(place, args.rendezvous, say) as servers:
        findings.add(reach_from_here(servers))
        pair = ask_pair(place, servers, args.megabytes)
        findings.add(*judge(pair))
    return pair
