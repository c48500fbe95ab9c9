import pytest

from lambda_image.errors import UsageError
from scripts.runs.finding import find_execution
from scripts.runs.place import Place
from scripts.stack.account import AccountError


def test_a_run_is_found_by_its_id_or_its_arn(place: Place):
    steps = place.client("stepfunctions")
    arn = steps.start_execution(stateMachineArn=place.machine, name="found", input='{"bucket": "b"}')["executionArn"]
    assert find_execution(place, "found")["executionArn"] == find_execution(place, arn)["executionArn"] == arn


def test_one_that_is_not_there_is_told_with_those_that_are(place: Place):
    place.client("stepfunctions").start_execution(stateMachineArn=place.machine, name="there", input="{}")
    with pytest.raises(AccountError, match=r"^the stack m has no run nowhere: the latest runs there are .*there"):
        find_execution(place, "nowhere")


def test_what_cannot_be_the_id_of_a_run_is_told(place: Place):
    with pytest.raises(UsageError, match="arn:of:mine is neither the ID of a run nor the ARN of an execution"):
        find_execution(place, "arn:of:mine")
