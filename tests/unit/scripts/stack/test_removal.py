from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.stack.account import AccountError
from scripts.stack.removal import Removal


class EmptyAccount:
    """An account without stacks, with buckets that earlier ones of the given name have left."""

    number, region, caller = "123456789012", "us-east-1", "ada"

    def __init__(self, *buckets: str) -> None:
        self.buckets = list(buckets)
        self.removed: list[str] = []

    def client(self, service: str) -> Any:
        return self

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803
        missing = {"Error": {"Code": "ValidationError", "Message": f"Stack with id {StackName} does not exist"}}
        raise ClientError(missing, "DescribeStacks")

    def get_paginator(self, operation: str) -> Any:
        pages = {"list_buckets": [{"Buckets": [{"Name": name} for name in self.buckets]}]}
        return type("Pages", (), {"paginate": lambda _, **given: pages.get(operation, [{}])})()

    def get_bucket_tagging(self, **_: str) -> dict[str, Any]:
        return {"TagSet": [{"Key": "cosmicai-stack", "Value": "cosmicai"}]}

    def list_object_versions(self, **_: Any) -> dict[str, Any]:
        return {}

    def delete_bucket(self, Bucket: str) -> None:  # noqa: N803
        self.removed.append(Bucket)


def removal(account: EmptyAccount, with_data: bool, agreed: bool = True) -> tuple[bool, list[str]]:
    said: list[str] = []
    made = Removal(account, "cosmicai", with_data, said.append, lambda _: agreed, lambda _: None)  # type: ignore[arg-type]
    return made.run(), said


def test_nothing_to_remove_is_told_with_the_region_and_the_bucket_that_is_left():
    with pytest.raises(AccountError, match="there is no stack cosmicai in us-east-1: --stack and --region"):
        removal(EmptyAccount(), with_data=False)
    with pytest.raises(AccountError, match="its bucket cosmicai-bucket-1 goes with --with-data"):
        removal(EmptyAccount("cosmicai-bucket-1"), with_data=False)


def test_data_of_earlier_stacks_go_only_with_the_flag_and_with_consent():
    account = EmptyAccount("cosmicai-bucket-1")
    assert removal(account, with_data=True, agreed=False)[0] is False
    assert account.removed == []
    done, said = removal(account, with_data=True)
    assert done
    assert account.removed == ["cosmicai-bucket-1"]
    assert said[-1] == "everything is gone"
