import json

import pytest

from statemachine.local.settings import (
    FUNCTIONS,
    function_arn,
    function_name,
    read_functions,
    with_workers,
    worker_environment,
)


@pytest.mark.parametrize(
    "reference",
    [
        "rank",
        "rank:$LATEST",
        "123456789012:function:rank",
        "arn:aws:lambda:us-east-1:123456789012:function:rank",
        "arn:aws:lambda:us-east-1:123456789012:function:rank:live",
    ],
)
def test_every_form_of_a_function_reference_leads_to_its_name(reference: str) -> None:
    assert function_name(reference) == "rank"


def test_an_arn_is_what_its_name_is_found_in() -> None:
    assert function_name(function_arn("summarize", "eu-central-1")) == "summarize"


def test_workers_are_ranks_and_one_of_each_other_function() -> None:
    assert {name: function.workers for name, function in with_workers(FUNCTIONS, 4).items()} == {
        "init": 1,
        "rank": 4,
        "summarize": 1,
    }
    assert {function.workers for function in with_workers(FUNCTIONS, 0).values()} == {0}


def test_a_table_changes_and_adds_functions() -> None:
    text = json.dumps(
        {"rank": {"timeout_s": 3}, "echo": {"handler": "m.echo", "timeout_s": 1, "memory_mb": 128, "workers": 0}}
    )
    table = read_functions(text)
    assert table["rank"].timeout_s == 3
    assert table["rank"].handler == FUNCTIONS["rank"].handler
    assert table["echo"].workers == 0
    assert FUNCTIONS["rank"].timeout_s == 900


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"rank": {"timeout": 3}}, "function rank: no setting timeout; there are .*timeout_s"),
        ({"echo": {"handler": "m.echo"}}, "function echo: memory_mb, timeout_s must be given"),
        ({"rank": {"workers": "two"}}, "function rank: workers is 'two', and must be a whole number from 0 on"),
        ({"rank": {"workers": -3}}, "function rank: workers is -3, "),
        ({"rank": {"workers": True}}, "function rank: workers is True, "),
        ({"rank": {"runtime_port": 99999}}, "runtime_port is 99999, and must be a whole number from 0 to 65535"),
        ({"rank": {"timeout_s": "3"}}, "timeout_s is '3', and must be a number greater than 0"),
        ({"rank": {"timeout_s": float("nan")}}, "timeout_s is nan, "),
        ({"rank": {"memory_mb": 0}}, "memory_mb is 0, and must be a whole number from 1 on"),
        ({"rank": {"waiting_limit": 0.5}}, "waiting_limit is 0.5, and must be a whole number from 0 on"),
        ({"rank": {"handler": "handler"}}, "handler is 'handler', and must be module.function"),
        ({"rank": 3}, "must be a JSON object"),
        ([], "must be a JSON object"),
    ],
)
def test_a_wrong_table_is_refused_by_name(table: object, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_functions(json.dumps(table))


def environment(**environ: str) -> dict[str, str]:
    function = with_workers(FUNCTIONS, 4)["rank"]
    return worker_environment(
        environ, "rank", function, runtime_api="127.0.0.1:9", endpoint_url="http://127.0.0.1:4566", cpus=8
    )


def test_a_worker_gets_what_lambda_sets_and_what_the_endpoint_has() -> None:
    got = environment(RENDEZVOUS_ENDPOINT="10.0.0.1:10000", PATH="/bin")
    assert got["AWS_LAMBDA_RUNTIME_API"] == "127.0.0.1:9"
    assert got["AWS_LAMBDA_FUNCTION_NAME"] == "rank"
    assert got["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == str(FUNCTIONS["rank"].memory_mb)
    assert got["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    assert got["RENDEZVOUS_ENDPOINT"] == "10.0.0.1:10000"
    assert got["PATH"] == "/bin"


def test_the_users_own_account_stays_out() -> None:
    got = environment(AWS_PROFILE="work", AWS_ACCESS_KEY_ID="AKIA", AWS_SECRET_ACCESS_KEY="s", AWS_SESSION_TOKEN="t")
    assert "AWS_PROFILE" not in got
    assert {got[key] for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")} == {"local"}


def test_workers_share_the_processors_unless_told_otherwise() -> None:
    assert environment()["OMP_NUM_THREADS"] == "2"
    assert environment(OMP_NUM_THREADS="5")["OMP_NUM_THREADS"] == "5"


def test_a_proxy_is_not_asked_for_this_machine() -> None:
    assert (
        environment(HTTP_PROXY="http://proxy:3128", no_proxy="intranet")["NO_PROXY"] == "intranet,localhost,127.0.0.1"
    )


def test_the_region_is_the_users_own() -> None:
    assert environment(AWS_DEFAULT_REGION="eu-central-1")["AWS_REGION"] == "eu-central-1"
    assert environment()["AWS_REGION"] == "us-east-1"


@pytest.mark.parametrize(
    "name",
    ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_LAMBDA", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_USE_FIPS_ENDPOINT"],
)
def test_no_other_endpoint_is_asked(name: str) -> None:
    got = environment(**{name: "true"})
    assert name not in got
    assert got["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
