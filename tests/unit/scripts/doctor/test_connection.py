import io
import json
from typing import Any

import pytest

from lambda_image.address import Address
from lambda_image.handlers.connection_check import ConnectionCheck
from scripts.doctor.connection import PairAnswers, ask_pair, judge, reach_from_here, to_json
from scripts.runs.place import Place
from scripts.stack.account import AccountError
from tests.unit.scripts.stack.clients import Client, place_of

SERVERS = (Address("a", 10000), Address("a", 10001), Address("b", 10000))
COLD = {"cold": True, "interpreter_s": 0.1, "imports_s": 0.2, "model_s": 0.3, "cold_start_s": 0.6}
WARM = dict.fromkeys(COLD, 0.0)
LINK = {
    "transport": "punched",
    "nat": "endpoint-independent",
    "error": None,
    "round_trip_ms": 1.5,
    "received_mb_s": 40.0,
    "join_s": 0.1,
    "connect_s": 0.25,
}


def answer(rank: int = 0, **changes: Any) -> dict[str, Any]:
    sighting = {"local": "10.0.0.5:4000", "observed": "198.51.100.7:4000", "connect_ms": 12.0, "error": None}
    return {
        "rank": rank,
        "processor": {"model": "Xeon", "architecture": "x86_64", "instruction_sets": ["avx2", "avx512f"]},
        "cpus": 2,
        "memory_mb": 3008,
        "engine": "fast",
        "cold_start": COLD,
        "servers": [{"server": str(server), **sighting} for server in SERVERS],
        "mapping": "endpoint-independent",
        "link": LINK,
        **changes,
    }


def judged(**changes: Any) -> dict[str, Any]:
    return {finding.name: finding for finding in judge(PairAnswers([answer(0, **changes), answer(1, **changes)]))}


def test_all_that_was_measured_is_said():
    findings = judged()
    assert {finding.state for finding in findings.values()} == {"ok"}
    assert findings["processor"].what == "Xeon (x86_64: avx2 avx512f), 3008 MB, engine fast"
    assert findings["cold start"].what.startswith("0.60 s from the start of the process (interpreter 0.10 s, imports")
    assert findings["server from there"].what == (
        "a:10000 answers rank 1 within 12.0 ms, and sees 10.0.0.5:4000 as 198.51.100.7:4000"
    )
    assert findings["NAT"].what == "endpoint-independent, against 2 server addresses"
    assert findings["connection"].what == (
        "punched, 40 MB/s there and 40 MB/s back, 1.50 ms for a round trip, connected in 0.25 s"
    )


@pytest.mark.parametrize(
    ("changes", "name", "state", "what", "step"),
    [
        ({"engine": "eager"}, "processor", "note", "engine eager", "deploy an image with the compiled engine"),
        ({"cold_start": WARM}, "cold start", "skipped", "had worked before", ""),
        ({"mapping": "address-dependent"}, "NAT", "note", "address-dependent", "parts are relayed"),
        ({"mapping": "unknown"}, "NAT", "note", "unknown", "--rendezvous twice"),
        ({"link": {**LINK, "transport": "relayed"}}, "connection", "note", "relayed", "at the speed of the rendezvous"),
        ({"link": {**LINK, "received_mb_s": 1.0}}, "connection", "note", "1 MB/s", '"fmi_enabled": false'),
        ({"servers": []}, "connection", "skipped", "no rendezvous server is known", ""),
        (
            {"link": {"transport": None, "error": "PeerTimeout: rank 1 had not joined"}},
            "connection",
            "failed",
            "did not exchange anything: PeerTimeout",
            "only one function runs at a time",
        ),
        (
            {"link": {**LINK, "error": "PeerClosed: gone"}},
            "connection",
            "failed",
            "(connected: punched): PeerClosed",
            "runs gather by storage",
        ),
    ],
)
def test_what_is_not_as_it_should_be_is_said_with_what_to_do(
    changes: dict[str, Any], name: str, state: str, what: str, step: str
):
    finding = judged(**changes)[name]
    assert finding.state == state
    assert what in finding.what
    assert step in finding.next_step


def test_a_server_that_the_functions_do_not_reach_ends_the_questions():
    lost = [{"server": "a:10000", "local": None, "observed": None, "connect_ms": None, "error": "timed out"}]
    findings = judged(servers=lost)
    assert findings["server from there"].state == "failed"
    assert "a:10000 does not answer rank 1: timed out" in findings["server from there"].what
    assert "security group" in findings["server from there"].next_step
    assert not {"NAT", "connection"} & findings.keys()


def test_the_worse_of_two_nats_counts():
    pair = PairAnswers([answer(0), answer(1, mapping="address-and-port-dependent")])
    assert "address-and-port-dependent" in {finding.name: finding for finding in judge(pair)}["NAT"].what


def place_with(invoke: Any) -> Place:
    return place_of({"lambda": Client({"invoke": invoke})})


def test_both_ranks_of_one_group_are_asked_in_a_form_that_the_function_takes():
    asked: dict[int, ConnectionCheck] = {}

    def invoke(FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        assert FunctionName == "stars-rank"
        check = ConnectionCheck.from_json(json.loads(Payload)["check"])
        asked[check.rank] = check
        return {"Payload": io.BytesIO(json.dumps(answer(check.rank)).encode())}

    pair = ask_pair(place_with(invoke), SERVERS, 16)
    assert [told["rank"] for told in pair.answers] == [0, 1]
    assert asked.keys() == {0, 1}
    assert (asked[0].run_id, asked[0].run_key) == (asked[1].run_id, asked[1].run_key)
    assert (asked[0].servers, asked[0].megabytes) == (SERVERS, 16)
    assert to_json(pair) == [answer(0), answer(1)]
    assert to_json(None) is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            {"errorType": "InvalidEvent", "errorMessage": "a rank is invoked by the state machine, with an item"},
            "is older than this check: cosmicai deploy",
        ),
        ({"errorType": "Runtime.ExitError", "errorMessage": "killed\nby"}, "failed: Runtime.ExitError: killed by"),
    ],
)
def test_a_function_that_fails_is_one_line(content: dict[str, str], told: str):
    failing = {"FunctionError": "Unhandled"}
    place = place_with(lambda **_: {**failing, "Payload": io.BytesIO(json.dumps(content).encode())})
    with pytest.raises(AccountError, match=told):
        ask_pair(place, SERVERS, 1)


def test_this_machine_need_not_reach_the_server():
    assert reach_from_here([]).state == "skipped"
    unreachable = reach_from_here([Address("a..b", 1)])
    assert unreachable.state == "note"
    assert "a..b:1 does not answer" in unreachable.what
