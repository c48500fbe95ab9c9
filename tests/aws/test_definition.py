"""The state machine as two readers of the Amazon States Language see it, each of which misses what the other finds.

CloudFormation's linter (tests/unit/statemachine/test_redshift_asl.py) finds a third of what is planted here.
"""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.static_analyser.static_analyser import StaticAnalyser

from lambda_image import errors
from scripts.aws_endpoint import REGION
from statemachine.definition import PLACEHOLDER, definition
from statemachine.local.settings import FUNCTIONS, function_arn
from tests.aws.tools import answer, tool

ARNS = {f"{name.capitalize()}FunctionArn": function_arn(name, REGION) for name in FUNCTIONS}
MACHINE = json.loads(definition(ARNS))

# By the developer guide, "Handling errors in Step Functions workflows".
OF_STEP_FUNCTIONS = {
    "States.ALL", "States.BranchFailed", "States.DataLimitExceeded", "States.ExceedToleratedFailureThreshold",
    "States.HeartbeatTimeout", "States.Http.Socket", "States.IntrinsicFailure", "States.ItemReaderFailed",
    "States.NoChoiceMatched", "States.ParameterPathFailure", "States.Permissions", "States.QueryEvaluationError",
    "States.ResultPathMatchFailure", "States.ResultWriterFailed", "States.Runtime", "States.TaskFailed",
    "States.Timeout",
}  # fmt: skip
# Of Lambda and of the client by which Step Functions calls it: the same guide, "Handling transient Lambda service
# exceptions", and the errors of the runtime.
OF_LAMBDA = {
    "Lambda.AWSLambdaException", "Lambda.ClientExecutionTimeoutException", "Lambda.SdkClientException",
    "Lambda.Unknown", "Runtime.ExitError", "Sandbox.Timedout",
}  # fmt: skip

Edit = Callable[[dict[str, Any]], object]


def init(machine: dict[str, Any]) -> Any:
    return machine["States"]["Init"]


def inner(machine: dict[str, Any]) -> Any:
    return machine["States"]["Ranks"]["ItemProcessor"]


PLANTED: dict[str, Edit] = {
    "a Next that does not exist": lambda m: init(m).update(Next="Rank"),
    "a state that nothing reaches": lambda m: m["States"].update(Lost={"Type": "Pass", "End": True}),
    "a Next that leaves the Map": lambda m: inner(m)["States"]["Rank"]["Catch"][0].update(Next="Summarize"),
    "a path that ends early": lambda m: init(m).update(OutputPath="$.Payload["),
    "a value under .$ that is no path": lambda m: init(m)["Parameters"]["Payload"].update({"input.$": "input"}),
    "a Map without its ExecutionType": lambda m: inner(m)["ProcessorConfig"].pop("ExecutionType"),
    "a BackoffRate below 1": lambda m: init(m)["Retry"][0].update(BackoffRate=0.5),
    "States.ALL beside another error": lambda m: init(m)["Catch"][0].update(ErrorEquals=["States.ALL", "X"]),
    "a JitterStrategy that does not exist": lambda m: init(m)["Retry"][0].update(JitterStrategy="SOME"),
    "a Retry for no error": lambda m: init(m)["Retry"][0].update(ErrorEquals=[]),
    "a misspelt field": lambda m: init(m).update(TimeoutSecond=1),
}  # fmt: skip
ONLY_ASL_VALIDATOR, ONLY_MOTO = list(PLANTED)[:6], list(PLANTED)[6:10]


def by_moto(text: str) -> str:
    """What moto's parser has against a definition."""
    try:
        AmazonStateLanguageParser.parse(text)
        StaticAnalyser().analyse(text)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def by_asl_validator(text: str, folder: Path) -> str:
    """What asl-validator has against a definition."""
    (folder / "definition.json").write_text(text)
    said = answer([tool("node", "asl-validator"), "--json-path", folder / "definition.json"])
    return "" if said.returncode == 0 else said.stdout + said.stderr or "refused"


def test_both_accept_it(tmp_path: Path):
    text = json.dumps(MACHINE)
    assert (by_asl_validator(text, tmp_path), by_moto(text)) == ("", "")


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found(name: str, tmp_path: Path):
    machine = copy.deepcopy(MACHINE)
    PLANTED[name](machine)
    text = json.dumps(machine)
    found = {"asl-validator": bool(by_asl_validator(text, tmp_path)), "moto": bool(by_moto(text))}
    assert any(found.values())
    if name in ONLY_ASL_VALIDATOR:
        assert not found["moto"]  # otherwise one of the two is no longer needed for it
    if name in ONLY_MOTO:
        assert not found["asl-validator"]


def test_no_placeholder_is_left(tmp_path: Path):
    """Neither of the two would find one, since ${} is text to them."""
    machine = copy.deepcopy(MACHINE)
    init(machine)["Parameters"]["FunctionName"] = "${InitFunctionArn}"
    unfilled = json.dumps(machine)
    assert (by_asl_validator(unfilled, tmp_path), by_moto(unfilled)) == ("", "")
    assert PLACEHOLDER.search(unfilled)
    assert not PLACEHOLDER.search(json.dumps(MACHINE))


def test_every_error_that_is_matched_is_one_of_ours_or_one_of_aws():
    model = botocore.session.get_session().get_service_model("lambda")
    invoke = {f"Lambda.{shape.name}" for shape in model.operation_model("Invoke").error_shapes}
    ours = {name for name, item in vars(errors).items() if isinstance(item, type) and issubclass(item, errors.RunError)}
    known = ours | OF_STEP_FUNCTIONS | OF_LAMBDA | invoke

    def matched(value: object) -> set[str]:
        if isinstance(value, dict):
            own = set(value.get("ErrorEquals", ()))
            return own.union(*map(matched, value.values()))
        return set().union(*map(matched, value)) if isinstance(value, list) else set()

    assert matched(MACHINE) - known == set()
