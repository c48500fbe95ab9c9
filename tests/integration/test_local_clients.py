"""What AWS's own clients ask a fresh endpoint, which no run has used yet, and what strangers get of it."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from tests.integration.test_local_endpoint import Endpoint, eventually


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    functions = {name: {"handler": f"local_functions.{name}"} for name in ("init", "rank", "summarize")}
    functions["task"] = {"handler": "local_functions.task", "timeout_s": 30, "memory_mb": 128}  # type: ignore[dict-item]
    endpoint = Endpoint(tmp_path_factory.mktemp("fresh"), functions, 1)
    yield endpoint
    endpoint.process.kill()
    endpoint.process.wait()


def test_the_state_machine_is_there(fresh: Endpoint) -> None:
    client = fresh.client("stepfunctions")
    (machine,) = client.list_state_machines()["stateMachines"]
    assert machine["name"] == "redshift"
    described = client.describe_state_machine(stateMachineArn=machine["stateMachineArn"])
    assert "arn:aws:lambda:us-east-1:123456789012:function:rank" in described["definition"]


def test_functions_are_listed_and_described(fresh: Endpoint) -> None:
    client = fresh.client("lambda")
    listed = client.list_functions()["Functions"]
    assert [function["FunctionName"] for function in listed] == ["init", "rank", "summarize", "task"]
    found = client.get_function(FunctionName=listed[3]["FunctionArn"])["Configuration"]
    assert (found["MemorySize"], found["Timeout"], found["State"]) == (128, 30, "Active")
    assert client.get_function_configuration(FunctionName="task") | {"ResponseMetadata": None} == found | {
        "ResponseMetadata": None
    }
    with pytest.raises(client.exceptions.ResourceNotFoundException, match="function:nothing"):
        client.get_function(FunctionName="nothing")


def test_the_account_says_how_many_functions_run_at_a_time(fresh: Endpoint) -> None:
    client = fresh.client("lambda")
    limit = client.get_account_settings()["AccountLimit"]
    assert (limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]) == (1000, 1000)
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName="task")
    with pytest.raises(client.exceptions.ResourceNotFoundException, match="function:nothing"):
        client.get_function_concurrency(FunctionName="nothing")


def test_the_lines_of_an_invocation_are_in_its_log_group(fresh: Endpoint) -> None:
    client = fresh.client("logs")
    answer = fresh.client("lambda").invoke(FunctionName="task", Payload=json.dumps({"who": "me"}))
    request_id = answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]

    def messages() -> list[str]:
        groups = {group["logGroupName"] for group in client.describe_log_groups()["logGroups"]}
        if "/aws/lambda/task" not in groups:
            return []
        return [event["message"] for event in client.filter_log_events(logGroupName="/aws/lambda/task")["events"]]

    eventually(lambda: any(line.startswith("REPORT") for line in messages()), fresh)
    lines = messages()
    start, end = (
        lines.index(f"START RequestId: {request_id} Version: $LATEST\n"),
        lines.index(f"END RequestId: {request_id}\n"),
    )
    assert start < lines.index("plain text\n") < end
    assert json.loads(lines[start + 1]) == {"event": "asked", "keys": ["who"]}
    report = dict(field.split(": ", 1) for field in lines[end + 1].removesuffix("\n").split("\t"))
    assert report["REPORT RequestId"] == request_id
    assert report["Memory Size"] == "128 MB"
    assert report["Billed Duration"].endswith(" ms")
    assert int(report["Max Memory Used"].removesuffix(" MB")) > 0
    (stream,) = client.describe_log_streams(logGroupName="/aws/lambda/task")["logStreams"]
    assert stream["logStreamName"] == "local/[$LATEST]task/0"


def test_map_runs_are_described_or_refused_as_aws_refuses(fresh: Endpoint) -> None:
    client = fresh.client("stepfunctions")
    inner = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
    mode = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    state = {"Type": "Map", "Label": "R", "ItemsPath": "$.items", "ItemProcessor": {**mode, **inner}, "End": True}
    machine = client.create_state_machine(
        name="mapping",
        definition=json.dumps({"StartAt": "M", "States": {"M": state}}),
        roleArn="arn:aws:iam::123456789012:role/x",
    )["stateMachineArn"]
    execution = client.start_execution(stateMachineArn=machine, input='{"items": [1, 2, 3]}')["executionArn"]
    eventually(lambda: client.describe_execution(executionArn=execution)["status"] == "SUCCEEDED", fresh)
    (run,) = client.list_map_runs(executionArn=execution)["mapRuns"]
    assert client.describe_map_run(mapRunArn=run["mapRunArn"])["itemCounts"]["succeeded"] == 3
    with pytest.raises(client.exceptions.ResourceNotFound):
        client.describe_map_run(mapRunArn=f"{run['mapRunArn']}0")
    with pytest.raises(ClientError, match=r"ValidationException.*describe-map-run has their counts"):
        client.list_executions(mapRunArn=run["mapRunArn"])


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}],
    ids=lambda headers: next(iter(headers)),
)
def test_a_web_page_gets_nothing(fresh: Endpoint, headers: dict[str, str]) -> None:
    fresh.client("s3").create_bucket(Bucket="secrets")
    for path in ("/secrets", "/_local/health", "/2015-03-31/functions/"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(f"{fresh.url}{path}", headers=headers))
        assert caught.value.code == 403
        assert "access-control-allow-origin" not in caught.value.headers
        assert b"\n" not in caught.value.read()
