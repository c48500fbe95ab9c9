"""The local AWS endpoint as its users meet it: boto3 in front, real `awslambdaric` processes behind."""

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from statemachine.definition import definition
from statemachine.local.outcomes import EVENT_PAYLOAD_LIMIT, PAYLOAD_LIMIT
from statemachine.local.settings import function_arn
from tests.integration.local_endpoint import PATIENCE_S, Endpoint, eventually, running

BUCKET = "galaxies"
FUNCTIONS: dict[str, dict[str, Any]] = {
    "init": {"handler": "local_functions.init"},
    "rank": {"handler": "local_functions.rank"},
    "summarize": {"handler": "local_functions.summarize"},
    "task": {"handler": "local_functions.task", "timeout_s": 30, "memory_mb": 128, "waiting_limit": 1},
    "brief": {"handler": "local_functions.task", "timeout_s": 1, "memory_mb": 128},
}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    endpoint = Endpoint(tmp_path_factory.mktemp("endpoint"), FUNCTIONS, workers=3)
    try:
        eventually(lambda: endpoint.health()["ready"], endpoint)
        yield endpoint
    finally:
        assert endpoint.end(signal.SIGTERM) == 0


@pytest.fixture(scope="module")
def execute(endpoint: Endpoint) -> Callable[..., dict[str, Any]]:
    """Runs the real state machine over the test's handlers and returns its description, output parsed."""
    endpoint.client("s3").create_bucket(Bucket=BUCKET)
    machines = endpoint.client("stepfunctions")
    arns = {f"{name.capitalize()}FunctionArn": function_arn(name) for name in ("init", "rank", "summarize")}
    machine = machines.create_state_machine(
        name="redshift", definition=definition(arns), roleArn="arn:aws:iam::123456789012:role/machine"
    )["stateMachineArn"]

    def run(items: list[dict[str, Any]], **given: Any) -> dict[str, Any]:
        given |= {"bucket": BUCKET, "items": items}
        name = f"test-{uuid.uuid4()}"
        started = machines.start_execution(stateMachineArn=machine, name=name, input=json.dumps(given))
        end: dict[str, Any] = {}

        def ended() -> bool:
            end.update(machines.describe_execution(executionArn=started["executionArn"]))
            return end["status"] != "RUNNING"

        eventually(ended, endpoint)
        return end | {"output": json.loads(end.get("output", "null"))}

    return run


@pytest.fixture
def invoke(endpoint: Endpoint) -> Callable[..., tuple[Any, str | None]]:
    """Invokes a function; its parsed answer and its FunctionError."""
    client = endpoint.client("lambda")

    def run(function: str, event: dict[str, Any]) -> tuple[Any, str | None]:
        response = client.invoke(FunctionName=function, Payload=json.dumps(event))
        assert response["StatusCode"] == 200
        return json.load(response["Payload"]), response.get("FunctionError")

    return run


# The state machine


def test_an_execution_runs_init_every_rank_of_the_manifest_and_summarize(execute: Callable[..., Any]) -> None:
    end = execute([{}] * 5)
    assert end["status"] == "SUCCEEDED"
    assert [(rank["rank"], rank["attempt"]) for rank in end["output"]["ranks"]] == [(rank, 0) for rank in range(5)]
    assert end["output"]["run"]["run_id"].endswith(f":execution:redshift:{end['name']}")
    assert end["output"]["run"]["started_at"].startswith("20")


def test_a_failed_rank_is_an_outcome_and_a_transient_failure_is_retried(execute: Callable[..., Any]) -> None:
    end = execute(
        [
            {},
            {"failures": 99, "raises": "PartitionMissing"},
            {"failures": 1, "raises": "PeerTimeout"},
            {"deaths": 1},
            {"failures": 99, "raises": "PeerClosed"},
        ]
    )
    assert end["status"] == "SUCCEEDED"
    fine, missing, retried, revived, given_up = end["output"]["ranks"]
    assert fine["attempt"] == 0
    assert missing["rank"] == 1
    assert missing["error"]["Error"] == "PartitionMissing"
    assert json.loads(missing["error"]["Cause"])["errorMessage"] == "rank 1, attempt 0"
    assert retried["attempt"] == 1
    assert revived["attempt"] == 1
    assert given_up["error"]["Error"] == "PeerClosed"
    assert json.loads(given_up["error"]["Cause"])["errorMessage"] == "rank 4, attempt 2"


def test_a_rank_whose_worker_always_dies_is_given_up_by_name(execute: Callable[..., Any]) -> None:
    [rank] = execute([{"deaths": 99}])["output"]["ranks"]
    assert rank["error"]["Error"] == "Runtime.ExitError"
    assert "Runtime exited with error: signal: killed" in rank["error"]["Cause"]


def test_a_failure_of_init_or_summarize_is_the_executions_own(execute: Callable[..., Any]) -> None:
    end = execute([{}], init_error="key bucket: missing")
    assert (end["status"], end["error"]) == ("FAILED", "InvalidEvent")
    assert "key bucket: missing" in end["cause"]
    end = execute([{}], summarize_error="ranks 2 and 3 failed")
    assert (end["status"], end["error"]) == ("FAILED", "TooManyFailures")
    assert "ranks 2 and 3 failed" in end["cause"]


def test_a_map_that_fails_as_a_whole_leaves_the_verdict_to_summarize(execute: Callable[..., Any]) -> None:
    end = execute([{}], manifest_lost=True)
    assert end["status"] == "SUCCEEDED"
    assert end["output"].keys() == {"run", "map_error"}
    assert end["output"]["map_error"].keys() == {"Error", "Cause"}


def test_what_does_not_fit_into_a_state_is_refused_as_step_functions_does(
    endpoint: Endpoint, execute: Callable[..., Any]
) -> None:
    assert len(execute([{"text_bytes": 250_000}])["output"]["ranks"]) == 1
    end = execute([{}, {"text_bytes": 270_000}])
    assert "item 1 has 270,040 bytes, and a state may have 262,144" in end["output"]["map_error"]["Cause"]
    end = execute([{"text_bytes": 100_000}] * 3)
    assert (end["status"], end["error"]) == ("FAILED", "States.DataLimitExceeded")
    machines = endpoint.client("stepfunctions")
    machine = machines.list_state_machines()["stateMachines"][0]["stateMachineArn"]
    with pytest.raises(ClientError, match="Member must have length less than or equal to 262144"):
        machines.start_execution(stateMachineArn=machine, input=json.dumps({"text": "x" * 262_144}))


def test_two_executions_at_once_do_not_meet(execute: Callable[..., Any]) -> None:
    with ThreadPoolExecutor() as pool:
        ends = list(pool.map(lambda text: execute([{"text": text}] * 4), ("left", "right")))
    for end, text in zip(ends, ("left", "right"), strict=True):
        assert [rank["text"] for rank in end["output"]["ranks"]] == [text] * 4


def test_more_ranks_than_workers_take_turns(execute: Callable[..., Any]) -> None:
    end = execute([{}] * 20)
    assert [rank["rank"] for rank in end["output"]["ranks"]] == list(range(20))


# Lambda


def test_an_invocation_knows_what_lambda_tells_it(invoke: Callable[..., Any]) -> None:
    answer, error = invoke(function_arn("task"), {})
    assert error is None
    assert answer["arn"] == function_arn("task")
    assert uuid.UUID(answer["request_id"])
    assert 20_000 < answer["remaining_ms"] <= 30_000
    assert answer["trace"].startswith("Root=1-")


def test_a_worker_killed_in_mid_invocation_fails_it_and_is_replaced(
    endpoint: Endpoint, invoke: Callable[..., Any], tmp_path: Path
) -> None:
    begun, until = tmp_path / "begun", tmp_path / "until"
    with ThreadPoolExecutor() as pool:
        pending = pool.submit(invoke, "task", {"begun": str(begun), "until": str(until)})
        eventually(lambda: begun.exists() and begun.read_text(), endpoint)
        os.kill(int(begun.read_text()), signal.SIGKILL)
        answer, error = pending.result(PATIENCE_S)
    assert error == "Unhandled"
    assert answer["errorType"] == "Runtime.ExitError"
    assert answer["errorMessage"].endswith("Error: Runtime exited with error: signal: killed")
    answer, error = invoke("task", {})
    assert error is None
    assert answer["pid"] != int(begun.read_text())


def test_a_timeout_ends_the_invocation_and_its_process(
    endpoint: Endpoint, invoke: Callable[..., Any], tmp_path: Path
) -> None:
    before = endpoint.workers("brief")
    answer, error = invoke("brief", {"until": str(tmp_path / "never")})
    assert error == "Unhandled"
    assert answer["errorType"] == "Sandbox.Timedout"
    assert answer["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    eventually(lambda: not any(map(running, before)), endpoint)
    # Another one waits for work. It is given none, since a busy machine may not do it within its second.
    eventually(lambda: endpoint.workers("brief") > before, endpoint)
    eventually(lambda: endpoint.health()["functions"]["brief"]["idle"] == 1, endpoint)


def test_requests_have_6_mb_and_not_one_byte_more(endpoint: Endpoint) -> None:
    client = endpoint.client("lambda")
    frame = len(json.dumps({"pad": ""}))
    fits = json.dumps({"pad": "x" * (PAYLOAD_LIMIT - frame)})
    assert "FunctionError" not in client.invoke(FunctionName="task", Payload=fits)
    for kind, limit in (("RequestResponse", PAYLOAD_LIMIT), ("Event", EVENT_PAYLOAD_LIMIT)):
        payload = json.dumps({"pad": "x" * (limit - frame + 1)})
        with pytest.raises(ClientError) as refusal:
            client.invoke(FunctionName="task", InvocationType=kind, Payload=payload)
        assert refusal.value.response["Error"]["Code"] == "RequestEntityTooLargeException"
        assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_responses_have_6_mb_and_not_one_byte_more(invoke: Callable[..., Any]) -> None:
    answer, error = invoke("task", {"answer_bytes": PAYLOAD_LIMIT})
    assert error is None
    assert len(answer) == PAYLOAD_LIMIT - 2
    for size in (PAYLOAD_LIMIT + 1, 4 * PAYLOAD_LIMIT):
        answer, error = invoke("task", {"answer_bytes": size})
        assert error == "Unhandled"
        assert answer["errorType"] == "Function.ResponseSizeTooLarge"
    assert invoke("task", {})[1] is None


def test_beyond_its_workers_and_its_waiting_limit_a_function_answers_429(
    endpoint: Endpoint, invoke: Callable[..., Any], tmp_path: Path
) -> None:
    until = tmp_path / "until"
    with ThreadPoolExecutor() as pool:
        held = [pool.submit(invoke, "task", {"until": str(until)}) for _ in range(2)]
        eventually(lambda: endpoint.health()["functions"]["task"]["waiting"] == 1, endpoint)
        with pytest.raises(ClientError) as refusal:
            invoke("task", {})
        until.touch()
        assert [future.result(PATIENCE_S)[1] for future in held] == [None, None]
    assert refusal.value.response["Error"]["Code"] == "TooManyRequestsException"
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429


def test_an_event_is_accepted_before_it_has_run(endpoint: Endpoint, tmp_path: Path) -> None:
    begun, until = tmp_path / "begun", tmp_path / "until"
    payload = json.dumps({"begun": str(begun), "until": str(until)})
    response = endpoint.client("lambda").invoke(FunctionName="task", InvocationType="Event", Payload=payload)
    assert response["StatusCode"] == 202
    eventually(begun.exists, endpoint)
    until.touch()
    eventually(lambda: endpoint.health()["functions"]["task"]["idle"] == 1, endpoint)


def test_what_cannot_be_invoked_is_refused_in_lambdas_words(endpoint: Endpoint) -> None:
    client = endpoint.client("lambda")
    with pytest.raises(client.exceptions.ResourceNotFoundException, match=r"function:gather \(there are .*rank"):
        client.invoke(FunctionName="gather", Payload="{}")
    with pytest.raises(client.exceptions.InvalidRequestContentException):
        client.invoke(FunctionName="task", Payload="{not json")


def test_the_log_says_who_wrote_what(endpoint: Endpoint, invoke: Callable[..., Any]) -> None:
    pid = invoke("task", {"unusual": 1})[0]["pid"]
    asked = {"event": "asked", "keys": ["unusual"], "function": "task", "worker": pid}
    plain = {"event": "log", "function": "task", "worker": pid, "stream": "stdout", "line": "plain text"}
    eventually(lambda: asked in endpoint.events(), endpoint)
    eventually(lambda: plain in endpoint.events(), endpoint)


# Everything else is moto's


def test_objects_pass_unchanged_whatever_their_size_name_and_encoding(endpoint: Endpoint) -> None:
    s3, bucket = endpoint.client("s3"), f"objects-{uuid.uuid4()}"
    s3.create_bucket(Bucket=bucket)
    body = os.urandom(20_000_000)
    key = "results/run 1/größe+&=%2F.bin"
    s3.upload_fileobj(io.BytesIO(body), bucket, key, ExtraArgs={"Metadata": {"rank": "3"}})
    found = s3.get_object(Bucket=bucket, Key=key)
    assert found["Metadata"] == {"rank": "3"}
    assert found["Body"].read() == body
    assert s3.get_object(Bucket=bucket, Key=key, Range="bytes=100-199")["Body"].read() == body[100:200]
    assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == len(body)
    packed = gzip.compress(b"galaxies")
    s3.put_object(Bucket=bucket, Key="packed", Body=packed, ContentEncoding="gzip")
    assert s3.get_object(Bucket=bucket, Key="packed")["Body"].read() == packed
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["packed", key]
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=bucket, Key="missing")


@pytest.mark.parametrize(
    ("service", "call"),
    [
        ("cloudformation", "list_stacks"),
        ("ecr", "describe_repositories"),
        ("iam", "list_roles"),
        ("logs", "describe_log_groups"),
        ("sts", "get_caller_identity"),
    ],
)
def test_other_services_answer(endpoint: Endpoint, service: str, call: str) -> None:
    assert getattr(endpoint.client(service), call)()["ResponseMetadata"]["HTTPStatusCode"] == 200


# Workers from outside, workers that cannot start, and the end of the endpoint


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Endpoint]:
    """An endpoint that keeps no workers but one that cannot load its handler."""
    outside = {"handler": "local_functions.task", "timeout_s": 30, "memory_mb": 128, "workers": 0}
    broken = {"handler": "local_functions.missing", "timeout_s": 30, "memory_mb": 128, "workers": 1}
    endpoint = Endpoint(tmp_path, {"outside": outside, "broken": broken}, workers=0)
    yield endpoint
    endpoint.process.kill()
    endpoint.process.wait(PATIENCE_S)


def test_workers_from_outside_share_a_port_and_run_at_once(bare: Endpoint, tmp_path: Path) -> None:
    environment = {**os.environ, "AWS_LAMBDA_RUNTIME_API": bare.listening["runtime_apis"]["outside"]}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "awslambdaric", "local_functions.task"]
    workers = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) for _ in range(2)]
    marks = [tmp_path / "first", tmp_path / "second"]
    try:
        eventually(lambda: bare.health()["functions"]["outside"]["idle"] == 2, bare)
        client = bare.client("lambda")
        with ThreadPoolExecutor() as pool:
            held = [
                pool.submit(
                    client.invoke,
                    FunctionName="outside",
                    Payload=json.dumps({"begun": str(mark), "until": str(tmp_path / "until")}),
                )
                for mark in marks
            ]
            eventually(lambda: all(mark.exists() and mark.read_text() for mark in marks), bare)
            (tmp_path / "until").touch()
            pids = {json.load(future.result(PATIENCE_S)["Payload"])["pid"] for future in held}
        assert pids == {worker.pid for worker in workers}
        eventually(lambda: bare.health()["functions"]["outside"]["idle"] == 2, bare)  # again, having answered
        workers[0].kill()
        eventually(lambda: bare.health()["functions"]["outside"]["idle"] == 1, bare)
        answer = json.load(client.invoke(FunctionName="outside", Payload="{}")["Payload"])
        assert answer["pid"] == workers[1].pid
        with ThreadPoolExecutor() as pool:  # the other one is lost in mid-invocation: its caller is told at once
            payload = json.dumps({"begun": str(tmp_path / "third"), "until": str(tmp_path / "never")})
            held = [pool.submit(client.invoke, FunctionName="outside", Payload=payload)]
            eventually((tmp_path / "third").exists, bare)
            workers[1].kill()
            lost = held[0].result(PATIENCE_S)
        assert lost["FunctionError"] == "Unhandled"
        assert json.load(lost["Payload"])["errorType"] == "Runtime.ExitError"
    finally:
        for worker in workers:
            worker.kill()
            worker.wait(PATIENCE_S)


def test_a_handler_that_cannot_be_loaded_fails_its_invocations_with_the_reason(bare: Endpoint) -> None:
    response = bare.client("lambda").invoke(FunctionName="broken", Payload="{}")
    answer = json.load(response["Payload"])
    assert response["FunctionError"] == "Unhandled"
    assert answer["errorType"] == "Runtime.HandlerNotFound"
    assert "missing" in answer["errorMessage"]
    health = bare.health()
    assert not health["ready"]
    assert health["functions"]["broken"]["start_errors"][0]["errorType"] == "Runtime.HandlerNotFound"


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGTERM, 0),
        (signal.SIGINT, 0),
        pytest.param(
            signal.SIGKILL,
            -signal.SIGKILL,
            marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent"),
        ),
    ],
)
def test_however_the_endpoint_ends_no_worker_is_left(tmp_path: Path, number: signal.Signals, status: int) -> None:
    endpoint = Endpoint(tmp_path, {"rank": FUNCTIONS["task"] | {"workers": 2}}, workers=0)
    eventually(lambda: endpoint.health()["functions"]["rank"]["idle"] == 2, endpoint)
    begun = tmp_path / "begun"  # one is in the middle of an invocation
    payload = json.dumps({"begun": str(begun), "until": str(tmp_path / "never")})
    endpoint.client("lambda").invoke(FunctionName="rank", InvocationType="Event", Payload=payload)
    eventually(begun.exists, endpoint)
    workers = endpoint.workers()
    assert len(workers) == 2
    assert endpoint.end(number) == status
    eventually(lambda: not any(running(pid) for pid in workers))


def test_a_port_that_is_taken_is_refused_by_name(endpoint: Endpoint) -> None:
    port = str(endpoint.listening["port"])
    command = [sys.executable, "-m", "statemachine.local", "--port", port, "--workers", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("cannot listen: ")
    assert port in ended.stderr
    assert "choose another --port" in ended.stderr
