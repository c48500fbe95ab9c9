"""The state machine against AWS's own rules, which CloudFormation's linter holds."""

import json
from typing import Any

from cfnlint import lint

from statemachine.definition import DEFINITION
from statemachine.local.settings import FUNCTIONS

MACHINE = json.loads(DEFINITION.read_text())


def linted(definition: dict[str, Any]) -> list[str]:
    """What CloudFormation's linter has against this definition."""
    properties = {
        "RoleArn": "arn:aws:iam::123456789012:role/machine",
        "Definition": definition,
        "DefinitionSubstitutions": {f"{name.capitalize()}FunctionArn": f"arn:{name}" for name in FUNCTIONS},
    }
    machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    template = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Machine": machine}}
    return [f"{match.rule.id} {match.message}" for match in lint(json.dumps(template), regions=["us-east-1"])]


def test_cloudformations_linter_accepts_it() -> None:
    assert linted(MACHINE) == []


def test_the_linter_reads_definitions() -> None:
    """It would pass anything if it did not know where the definition is."""
    mistyped = json.loads(json.dumps(MACHINE))
    mistyped["States"]["Init"]["TimeoutSecond"] = mistyped["States"]["Init"].pop("TimeoutSeconds")
    assert any(problem.startswith("E3601") and "TimeoutSecond" in problem for problem in linted(mistyped))
