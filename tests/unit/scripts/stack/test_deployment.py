from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.stack.account import AccountError
from scripts.stack.deployment import UNRESERVED, Deployment, Wishes


class SmallAccount:
    """An account without stacks that runs so many functions at a time; None may not be asked for it."""

    number, region, caller = "123456789012", "us-east-1", "ada"

    def __init__(self, concurrent: int | None) -> None:
        self.concurrent = concurrent

    def client(self, service: str) -> Any:
        return self

    def get_account_settings(self) -> dict[str, Any]:
        if self.concurrent is None:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": ""}}, "GetAccountSettings")
        return {"AccountLimit": {"ConcurrentExecutions": self.concurrent}}


def checked(concurrent: int | None, reserved: int) -> list[str]:
    """What the check of the quota says."""
    said: list[str] = []
    account: Any = SmallAccount(concurrent)
    deployment = Deployment(account, Wishes("cosmicai", {}), said.append, lambda _: True, lambda _: None)
    deployment._check_quota(reserved)
    return said


def test_the_quota_is_told_and_no_more_than_it_is_reserved():
    assert checked(1000, 1000 - UNRESERVED) == ["the account runs 1,000 functions at a time; ranks beyond that wait"]
    with pytest.raises(AccountError, match="ReservedConcurrency is 901, and the account has 1000"):
        checked(1000, 1000 - UNRESERVED + 1)
    assert checked(10, 0)
    with pytest.raises(AccountError, match="Service Quotas"):
        checked(10, 1)


def test_a_quota_that_may_not_be_asked_for_stops_nothing():
    assert checked(None, 500) == [
        "how many functions the account runs at a time is unknown: lambda:GetAccountSettings is denied"
    ]
