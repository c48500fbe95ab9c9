import json

import pytest

from statemachine.definition import definition

ARNS = {f"{name}FunctionArn": f"arn:of:{name}" for name in ("Init", "Rank", "Summarize")}


def test_every_function_gets_its_arn() -> None:
    states = json.loads(definition(ARNS))["States"]
    rank = states["Ranks"]["ItemProcessor"]["States"]["Rank"]
    found = [state["Parameters"]["FunctionName"] for state in (states["Init"], rank, states["Summarize"])]
    assert found == ["arn:of:Init", "arn:of:Rank", "arn:of:Summarize"]


def test_a_placeholder_without_a_value_and_a_value_without_a_placeholder_are_refused() -> None:
    with pytest.raises(KeyError, match="RankFunctionArn"):
        definition({key: value for key, value in ARNS.items() if key != "RankFunctionArn"})
    with pytest.raises(ValueError, match="no placeholder for GatherFunctionArn"):
        definition({**ARNS, "GatherFunctionArn": "arn"})
