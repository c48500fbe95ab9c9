"""How two invocations of the rank function reach each other, which nobody knows before it was tried."""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from lambda_image.address import Address
from lambda_image.comm.connecting.mappings import Mapping as NatMapping
from lambda_image.comm.connecting.mappings import Sighting, sightings
from lambda_image.json_text import parse_json
from scripts.doctor.findings import Finding
from scripts.runs.place import Place
from scripts.stack.account import AccountError

RANKS = (0, 1)
HERE_TIMEOUT_S = 5.0
CHECK_TIMEOUT_S = 40.0  # in the function, after its start: boto3 waits for an answer for 60
SLOW_MB_S = 5.0  # less than an S3 object comes with: the gather is no gain then
PUNCHABLE = {NatMapping.NONE, NatMapping.ENDPOINT_INDEPENDENT, NatMapping.UNKNOWN}


@dataclass(frozen=True)
class PairAnswers:
    """What the two invocations answered, by rank."""

    answers: Sequence[Mapping[str, Any]]


def reach_from_here(servers: Sequence[Address]) -> Finding:
    """Looks whether this machine reaches the rendezvous servers."""
    label = "server from here"
    if not servers:
        step = "name one by --rendezvous HOST:PORT, as the functions reach it"
        return Finding(label, "skipped", "no rendezvous server is known", step)
    found = sightings(servers, HERE_TIMEOUT_S)
    if all(one.observed for one in found):
        fastest = min(one.connect_ms or 0.0 for one in found)
        return Finding(label, "ok", f"{servers[0]} answers within {fastest:.1f} ms")
    bad = next(one for one in found if not one.observed)
    # Ranks do not come from here: it stops no run.
    step = "look at firewalls on your side; whether the functions reach it is shown below"
    return Finding(label, "note", f"{bad.server} does not answer: {bad.error}", step)


def ask_pair(place: Place, servers: Sequence[Address], megabytes: int) -> PairAnswers:
    """Invokes the rank function twice at the same time, as the two ranks of a group of their own.

    Raises:
        AccountError: the function failed, or does not know this check.
        ClientError: an invocation is refused.
    """
    client = place.client("lambda")
    check = {
        "run_id": f"doctor-{secrets.token_hex(6)}",
        "run_key": secrets.token_hex(32),
        "servers": [str(server) for server in servers],
        "megabytes": megabytes,
        "timeout_s": CHECK_TIMEOUT_S,
    }

    def ask(rank: int) -> Mapping[str, Any]:
        payload = json.dumps({"check": {**check, "rank": rank}}).encode()
        answer = client.invoke(FunctionName=place.functions["rank"], Payload=payload)
        content = parse_json(answer["Payload"].read())
        if answer.get("FunctionError"):
            raise AccountError(_failed(content))
        return dict(content)

    with ThreadPoolExecutor(len(RANKS)) as pool:
        return PairAnswers(list(pool.map(ask, RANKS)))


def judge(pair: PairAnswers) -> Iterator[Finding]:
    """Says what the answers mean for runs."""
    first, *_ = pair.answers
    yield _processor(first)
    yield _start(pair)
    if not any(answer["servers"] for answer in pair.answers):
        yield Finding("connection", "skipped", "no rendezvous server is known, without which ranks do not meet")
        return
    reached = list(_servers(pair))
    yield from reached
    if any(finding.state == "failed" for finding in reached):
        return
    # Both are at the same kind of place, and the worse of two answers decides.
    yield _nat(max(pair.answers, key=lambda answer: answer["mapping"] not in PUNCHABLE))
    yield _link(pair)


def _processor(answer: Mapping[str, Any]) -> Finding:
    processor = answer["processor"]
    sets = " ".join(processor["instruction_sets"]) or "no instruction sets that are known here"
    of = f"{processor['architecture']}: {sets}"
    what = f"{processor['model']} ({of}), {answer['memory_mb']} MB, engine {answer['engine']}"
    if answer["engine"].startswith("eager"):
        step = "deploy an image with the compiled engine, which is a few times faster, unless the model asks for this"
        return Finding("processor", "note", what, step)
    return Finding("processor", "ok", what)


def _start(pair: PairAnswers) -> Finding:
    cold = [answer["cold_start"] for answer in pair.answers if answer["cold_start"]["cold"]]
    if not cold:
        return Finding(
            "cold start", "skipped", "both invocations met processes that had worked before; ask again later"
        )
    longest = max(cold, key=lambda start: start["cold_start_s"])
    parts = ", ".join(f"{name} {longest[f'{name}_s']:.2f} s" for name in ("interpreter", "imports", "model"))
    return Finding("cold start", "ok", f"{longest['cold_start_s']:.2f} s from the start of the process ({parts})")


def _servers(pair: PairAnswers) -> Iterator[Finding]:
    label = "server from there"
    for answer in pair.answers:
        meeting = Sighting(**answer["servers"][0])
        if meeting.observed is None:
            step = (
                "check that the server runs, that its security group lets ports 10000 and 10001 in, and, for functions "
                "in a VPC, that they have a NAT gateway. Containers may know it by another name (--rendezvous)"
            )
            what = f"{meeting.server} does not answer rank {answer['rank']}: {meeting.error}"
            yield Finding(label, "failed", what, step)
        else:
            what = (
                f"{meeting.server} answers rank {answer['rank']} within {meeting.connect_ms:.1f} ms, and sees "
                f"{meeting.local} as {meeting.observed}"
            )
            yield Finding(label, "ok", what)


def _nat(answer: Mapping[str, Any]) -> Finding:
    mapping = NatMapping(answer["mapping"])
    hosts = len({Address.parse(one["server"]).host for one in answer["servers"] if one["observed"]})
    what = f"{mapping}, against {hosts} server {'address' if hosts == 1 else 'addresses'}"
    if mapping not in PUNCHABLE:
        step = "nothing: parts are relayed by the server. Functions outside a VPC usually have another NAT"
        return Finding("NAT", "note", what, step)
    if mapping is NatMapping.UNKNOWN:
        return Finding("NAT", "note", what, "two servers at different addresses would tell (--rendezvous twice)")
    return Finding("NAT", "ok", what)


def _link(pair: PairAnswers) -> Finding:
    links = [answer["link"] for answer in pair.answers]
    if error := next((link["error"] for link in links if link["error"]), None):
        both = {link["transport"] for link in links} - {None}
        step = (
            "if one rank never came, only one function runs at a time: look at the quotas above, or at the workers of "
            "the local endpoint; runs gather by storage until then"
        )
        how = f" (connected: {', '.join(sorted(both))})" if both else ""
        return Finding("connection", "failed", f"the two did not exchange anything{how}: {error}", step)
    rates = [link["received_mb_s"] for link in links]
    trip = min(link["round_trip_ms"] for link in links)
    connected = max(link["connect_s"] or 0.0 for link in links)
    what = (
        f"{links[0]['transport']}, {rates[1]:.0f} MB/s there and {rates[0]:.0f} MB/s back, {trip:.2f} ms for a round "
        f"trip, connected in {connected:.2f} s"
    )
    if links[0]["transport"] == "relayed":
        step = "nothing: it works, at the speed of the rendezvous server. Large runs gather faster by storage"
        return Finding("connection", "note", what, step)
    if min(rates) < SLOW_MB_S:
        return Finding("connection", "note", what, 'give "fmi_enabled": false for large runs, which then use storage')
    return Finding("connection", "ok", what)


def _failed(content: Mapping[str, Any]) -> str:
    kind, message = content.get("errorType"), " ".join(str(content.get("errorMessage")).split())
    if kind == "InvalidEvent" and "invoked by the state machine" in message:
        return "the rank function is older than this check: cosmicai deploy brings it to this version"
    return f"the rank function failed: {kind}: {message}. Its log has more (/aws/lambda/...-rank)"


def to_json(pair: PairAnswers | None) -> list[dict[str, Any]] | None:
    """Makes a list of the answers, by rank; None where nothing was asked."""
    return None if pair is None else [dict(answer) for answer in asdict(pair)["answers"]]
