"""What AWS's own clients ask a fresh endpoint, which no run has used yet, and what strangers get of it."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from tests.integration.local_endpoint import Endpoint, eventually


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


def test_each_function_has_a_log_group_before_it_is_invoked(fresh: Endpoint) -> None:
    client = fresh.client("logs")
    groups = {group["logGroupName"] for group in client.describe_log_groups()["logGroups"]}
    assert groups >= {"/aws/lambda/init", "/aws/lambda/rank", "/aws/lambda/summarize"}
    assert client.filter_log_events(logGroupName="/aws/lambda/rank")["events"] == []


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


@pytest.fixture(scope="module")
def execution(fresh: Endpoint) -> str:
    """One whose Map had five items, of which 2 and 4 failed."""
    client = fresh.client("stepfunctions")
    choice = {"Variable": "$.number", "NumericEquals": 2, "Next": "Bad"}
    inner = {
        "StartAt": "Choose",
        "States": {
            "Choose": {"Type": "Choice", "Choices": [choice, choice | {"NumericEquals": 4}], "Default": "Good"},
            "Good": {"Type": "Pass", "End": True},
            "Bad": {"Type": "Fail", "Error": "BadNumber", "Cause": "it is even"},
        },
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
    }
    selector = {"number.$": "$$.Map.Item.Value"}
    state = {"Type": "Map", "Label": "R", "ItemsPath": "$.items", "ItemSelector": selector, "ItemProcessor": inner}
    machine = client.create_state_machine(
        name="mapping",
        definition=json.dumps({"StartAt": "M", "States": {"M": state | {"End": True}}}),
        roleArn="arn:aws:iam::123456789012:role/x",
    )["stateMachineArn"]
    arn: str = client.start_execution(stateMachineArn=machine, input='{"items": [1, 2, 3, 4, 5]}')["executionArn"]
    eventually(lambda: client.describe_execution(executionArn=arn)["status"] == "SUCCEEDED", fresh)
    return arn


def test_map_runs_are_listed_and_described(fresh: Endpoint, execution: str) -> None:
    client = fresh.client("stepfunctions")
    (run,) = client.list_map_runs(executionArn=execution)["mapRuns"]
    described = client.describe_map_run(mapRunArn=run["mapRunArn"])
    for counts in (described["itemCounts"], described["executionCounts"]):
        assert {name: counts[name] for name in ("succeeded", "failed", "running", "total")} == {
            "succeeded": 3, "failed": 2, "running": 0, "total": 5,
        }  # fmt: skip
    for ask in (client.describe_map_run, client.list_executions):
        with pytest.raises(client.exceptions.ResourceNotFound):
            ask(mapRunArn=f"{run['mapRunArn']}0")


def test_the_executions_of_a_map_run_are_listed_by_status_and_in_pages(fresh: Endpoint, execution: str) -> None:
    client = fresh.client("stepfunctions")
    (run,) = client.list_map_runs(executionArn=execution)["mapRuns"]

    def numbers(page_size: int, **chosen: str) -> list[int]:
        pages = client.get_paginator("list_executions").paginate(
            mapRunArn=run["mapRunArn"], PaginationConfig={"PageSize": page_size}, **chosen
        )
        found = [child["executionArn"] for page in pages for child in page["executions"]]
        return [json.loads(client.describe_execution(executionArn=arn)["input"])["number"] for arn in found]

    assert sorted(numbers(100)) == sorted(numbers(2)) == [1, 2, 3, 4, 5]
    assert sorted(numbers(1, statusFilter="FAILED")) == [2, 4]
    assert sorted(numbers(2, statusFilter="SUCCEEDED")) == [1, 3, 5]
    assert numbers(2, statusFilter="RUNNING") == []
    (failed, _) = client.list_executions(mapRunArn=run["mapRunArn"], statusFilter="FAILED")["executions"]
    described = client.describe_execution(executionArn=failed["executionArn"])
    assert (described["error"], described["cause"]) == ("BadNumber", "it is even")
    events = client.get_execution_history(executionArn=failed["executionArn"])["events"]
    assert [event["type"] for event in events] == [
        "ExecutionStarted", "ChoiceStateEntered", "ChoiceStateExited", "FailStateEntered", "ExecutionFailed",
    ]  # fmt: skip
    with pytest.raises(ClientError, match="InvalidToken"):
        client.list_executions(mapRunArn=run["mapRunArn"], nextToken="of nobody")
    with pytest.raises(ClientError, match="ValidationException"):
        client.list_executions()


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_history_is_read_in_either_order_and_in_pages(fresh: Endpoint, execution: str, newest_first: bool) -> None:
    client = fresh.client("stepfunctions")
    whole = client.get_execution_history(executionArn=execution)["events"]
    assert [event["id"] for event in whole] == list(range(1, len(whole) + 1))
    assert (whole[0]["type"], whole[-1]["type"]) == ("ExecutionStarted", "ExecutionSucceeded")
    pages = client.get_paginator("get_execution_history").paginate(
        executionArn=execution, reverseOrder=newest_first, PaginationConfig={"PageSize": 3}
    )
    in_pages = [page["events"] for page in pages]
    assert [len(events) for events in in_pages] == [3] * (len(whole) // 3) + [len(whole) % 3] * (len(whole) % 3 > 0)
    assert [event for events in in_pages for event in events] == (whole[::-1] if newest_first else whole)
    with pytest.raises(client.exceptions.ExecutionDoesNotExist):
        client.get_execution_history(executionArn=f"{execution}0")


def test_functions_are_listed_in_pages(fresh: Endpoint) -> None:
    pages = fresh.client("lambda").get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 3})
    names = [[function["FunctionName"] for function in page["Functions"]] for page in pages]
    assert names == [["init", "rank", "summarize"], ["task"]]


def test_what_lambda_has_and_this_endpoint_has_not_is_no_page_of_html(fresh: Endpoint) -> None:
    with pytest.raises(ClientError, match=r"InternalFailure.*/functions/rank/urls is not answered here"):
        fresh.client("lambda").list_function_url_configs(FunctionName="rank")


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
