from collections.abc import Callable
from importlib import metadata
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.doctor.account_checks import check_bucket, check_functions, check_quotas, check_versions
from scripts.runs.place import Place
from tests.unit.scripts.stack.clients import Client, place_of, refused

VERSION = metadata.version("cosmicai")
IMAGE = "r@sha256:1"


def place_with(local_url: str | None = None, version: str = VERSION, **operations: Callable[..., Any]) -> Place:
    configuration = {"MemorySize": 3008, "Timeout": 900, "Architectures": ["arm64"]}
    every = Client(
        {
            "get_function_configuration": lambda **_: configuration,
            "get_account_settings": lambda: {"AccountLimit": {"ConcurrentExecutions": 1000}},
            "head_bucket": lambda **_: {"BucketRegion": "eu-west-1"},
            "get_function": lambda **_: {"Code": {"ImageUri": IMAGE}},
            "describe_stacks": lambda **_: {
                "Stacks": [{"Parameters": [{"ParameterKey": "LambdaImage", "ParameterValue": IMAGE}]}]
            },
            **operations,
        }
    )
    clients = dict.fromkeys(("lambda", "s3", "cloudformation"), every)
    return place_of(clients, local_url=local_url, outputs={"Version": version})


def function(**about: Any) -> Callable[..., Any]:
    return lambda **_: {"MemorySize": 3008, "Timeout": 900, **about}


@pytest.mark.parametrize(
    ("about", "state", "what", "step"),
    [
        ({}, "ok", "stars-rank is active (3008 MB, 900 s, x86_64)", ""),
        ({"State": "Inactive"}, "note", "is asleep", "the first run waits until it has woken"),
        (
            {"State": "Pending", "StateReason": "new"},
            "note",
            "is being made ready (3008 MB, 900 s, x86_64) new",
            "wait",
        ),
        ({"LastUpdateStatus": "InProgress"}, "note", "is being made ready", "wait"),
        ({"State": "Failed", "StateReason": "no image"}, "failed", "not usable: no image", "run cosmicai deploy"),
        ({"LastUpdateStatus": "Failed"}, "failed", "AWS gives no reason", "run cosmicai deploy"),
        ({"VpcConfig": {"SubnetIds": ["subnet-1"]}}, "note", "all parts are relayed", "leave FunctionSubnets out"),
    ],
)
def test_a_function_is_judged_by_its_state(about: dict[str, Any], state: str, what: str, step: str):
    [finding] = check_functions(place_with(get_function_configuration=function(**about)))
    assert (finding.name, finding.state) == ("function rank", state)
    assert what in finding.what
    assert step in finding.next_step


def test_a_function_that_is_missing_is_a_finding_and_any_other_refusal_is_told():
    [finding] = check_functions(place_with(get_function_configuration=lambda **_: refused("ResourceNotFoundException")))
    assert (finding.state, finding.next_step) == ("failed", "cosmicai deploy makes it anew")
    with pytest.raises(ClientError):
        check_functions(place_with(get_function_configuration=lambda **_: refused("ThrottlingException")))


@pytest.mark.parametrize(
    ("answer", "state", "what"),
    [
        ({"AccountLimit": {"ConcurrentExecutions": 1000}}, "ok", "1,000 functions at a time; ranks beyond that wait"),
        ({"AccountLimit": {"ConcurrentExecutions": 400}}, "ok", "(most accounts have 1,000)"),
        ({"AccountLimit": {"ConcurrentExecutions": 10}}, "note", "10 functions at a time"),
        (refused("AccessDeniedException"), "note", "lambda:GetAccountSettings is denied"),
    ],
)
def test_the_quota_is_judged(answer: Any, state: str, what: str):
    finding = check_quotas(place_with(get_account_settings=lambda: answer))
    assert finding.state == state
    assert what in finding.what
    assert bool(finding.next_step) == (state == "note")


@pytest.mark.parametrize(
    ("answer", "state", "what"),
    [
        ({"BucketRegion": "eu-west-1"}, "ok", "galaxies, in eu-west-1"),
        ({}, "ok", "galaxies, in eu-west-1"),
        ({"BucketRegion": "us-east-1"}, "failed", "galaxies is in us-east-1, and the functions in eu-west-1"),
        (refused("404"), "failed", "there is no bucket galaxies"),
        (refused("403"), "note", "its content is denied to you"),
    ],
)
def test_the_bucket_is_judged(answer: Any, state: str, what: str):
    finding = check_bucket(place_with(head_bucket=lambda **_: answer))
    assert finding.state == state
    assert what in finding.what
    assert bool(finding.next_step) == (state != "ok")


def test_image_stack_and_checkout_are_of_one_version():
    [finding] = check_versions(place_with())
    assert (finding.state, finding.what) == ("ok", f"checkout, stack and image are {VERSION}")
    old, other = check_versions(
        place_with(version="0.0.9", get_function=lambda **_: {"Code": {"ImageUri": "r@sha256:2"}})
    )
    assert (old.state, other.state) == ("note", "failed")
    assert f"the stack is of version 0.0.9, and this checkout of {VERSION}" in old.what
    assert "stars-rank runs r@sha256:2, and the stack says r@sha256:1" in other.what
    [finding] = check_versions(place_with(get_function=lambda **_: refused("AccessDeniedException")))
    assert finding.state == "ok"


def test_a_local_endpoint_has_none_of_these():
    place = place_with("http://127.0.0.1:4566")
    findings = [check_quotas(place), check_bucket(place), *check_versions(place)]
    assert {finding.state for finding in findings} == {"skipped"}
