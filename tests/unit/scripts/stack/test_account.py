from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError

from lambda_image.errors import UsageError
from scripts.stack.account import Account, AccountError, explained


def refusal(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "CreateStack")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (refusal("ExpiredToken"), "the credentials have expired: log in again"),
        (refusal("InvalidClientTokenId"), "AWS does not know these credentials (InvalidClientTokenId)"),
        (refusal("AccessDenied", "not authorized to perform: cloudformation:CreateStack"), "Ask whoever looks after"),
        (refusal("Throttling", "Rate exceeded"), "AWS still asks to slow down after 8 tries of CreateStack"),
        (refusal("Strange", "one\ntwo"), "AWS refuses CreateStack: one two (Strange)"),
        (NoCredentialsError(), "Unable to locate credentials: set AWS_PROFILE"),
        (EndpointConnectionError(endpoint_url="https://sts.nowhere"), "is the region one, and the network up?"),
        (ReadTimeoutError(endpoint_url="https://sts.nowhere"), "AWS does not answer"),
    ],
)
def test_a_refusal_is_one_line_with_the_next_step(error: Exception, words: str):
    with pytest.raises(AccountError) as told, explained():
        raise error
    assert words in told.value.message
    assert "\n" not in told.value.message
    assert told.value.__cause__ is error


@pytest.fixture
def without_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> pytest.MonkeyPatch:
    """An environment that names no account, no region and no profile."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


@pytest.mark.usefixtures("without_aws")
def test_what_is_missing_is_told_before_anything_is_asked():
    with pytest.raises(UsageError, match="give --region or set AWS_REGION"):
        Account.open(None, None)
    with pytest.raises(UsageError, match="--profile is astronomy"):
        Account.open("astronomy", None)
    with pytest.raises(AccountError, match="Unable to locate credentials"):
        Account.open(None, "eu-west-1")


def test_the_variable_of_the_aws_command_line_names_the_region(without_aws: pytest.MonkeyPatch):
    without_aws.setenv("AWS_REGION", "eu-west-1")
    with pytest.raises(AccountError, match="Unable to locate credentials"):
        Account.open(None, None)
