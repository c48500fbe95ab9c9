from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from scripts.stack.account import AccountError
from scripts.stack.bucket import check_bucket, empty, holds_anything, kept_buckets


@pytest.fixture
def s3() -> Any:
    client: Any = boto3.client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stubber:
        client.stubber = stubber
        yield client


def refuse(s3: Any, operation: str, code: str, status: int, headers: dict[str, str] | None = None) -> None:
    s3.stubber.add_client_error(operation, code, "", status, response_meta={"HTTPHeaders": headers or {}})


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (404, {}, "there is no bucket survey: create it, or leave ExistingBucket out"),
        (403, {}, "the bucket survey is closed to you"),
        (301, {"x-amz-bucket-region": "eu-west-1"}, "is in eu-west-1, and the stack in us-east-1"),
        (403, {"x-amz-bucket-region": "eu-west-1"}, "is in eu-west-1, and the stack in us-east-1"),
    ],
)
def test_a_bucket_that_cannot_serve_is_told_with_the_next_step(
    s3: Any, status: int, headers: dict[str, str], words: str
):
    refuse(s3, "head_bucket", str(status), status, headers)
    with pytest.raises(AccountError, match=words):
        check_bucket(s3, "survey", "us-east-1")


def test_what_head_cannot_say_is_asked_once_more(s3: Any):
    refuse(s3, "head_bucket", "400", 400)
    refuse(s3, "list_objects_v2", "ExpiredToken", 400)
    with pytest.raises(ClientError, match="ExpiredToken"):
        check_bucket(s3, "survey", "us-east-1")


def test_a_bucket_in_another_region_that_answers_is_told():
    class S3:
        def head_bucket(self, **_: str) -> dict[str, str]:
            return {"BucketRegion": "eu-west-1"}

    with pytest.raises(AccountError, match="give --region eu-west-1"):
        check_bucket(S3(), "survey", "us-east-1")


def test_only_buckets_with_the_tag_of_the_stack_are_its_own(s3: Any):
    names = ["cosmicai-bucket-1", "cosmicai-bucket-2", "cosmicai-thesis"]
    s3.stubber.add_response("list_buckets", {"Buckets": [{"Name": name} for name in names]})
    s3.stubber.add_response("get_bucket_tagging", {"TagSet": [{"Key": "cosmicai-stack", "Value": "cosmicai"}]})
    s3.stubber.add_response("get_bucket_tagging", {"TagSet": [{"Key": "cosmicai-stack", "Value": "cosmicai-bucket"}]})
    refuse(s3, "get_bucket_tagging", "NoSuchTagSet", 404)
    assert kept_buckets(s3, "cosmicai") == ["cosmicai-bucket-1"]


def test_a_version_that_s3_keeps_ends_the_emptying(s3: Any):
    s3.stubber.add_response(
        "list_object_versions",
        {"Versions": [{"Key": "a", "VersionId": "1"}], "DeleteMarkers": [], "IsTruncated": False},
    )
    s3.stubber.add_response("delete_objects", {"Errors": [{"Key": "a", "Code": "AccessDenied", "Message": "locked"}]})
    with pytest.raises(AccountError, match="s3://b/a cannot be removed: AccessDenied: locked"):
        empty(s3, "b", lambda _: None)


def test_a_bucket_with_old_versions_only_is_not_empty(s3: Any):
    s3.stubber.add_response("list_object_versions", {"DeleteMarkers": [{"Key": "a", "VersionId": "1"}]})
    assert holds_anything(s3, "b")
    s3.stubber.add_response("list_object_versions", {})
    assert not holds_anything(s3, "b")


def test_who_may_not_list_buckets_finds_none(s3: Any):
    refuse(s3, "list_buckets", "AccessDenied", 403)
    assert kept_buckets(s3, "cosmicai") == []
