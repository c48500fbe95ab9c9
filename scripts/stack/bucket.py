"""The bucket of a stack, which outlives it: finding it again, and emptying it."""

from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError, ParamValidationError

from scripts.stack.account import DENIED, AccountError, code_of

TAG = "cosmicai-stack"  # of the bucket, with the stack's name: set in stack.yaml
BATCH = 1000  # objects that S3 removes in one request


def kept_buckets(s3: Any, stack: str) -> list[str]:
    """Finds the buckets that stacks of this name have made; none where the caller may not list buckets."""
    pages = s3.get_paginator("list_buckets").paginate(Prefix=f"{stack}-")
    try:
        names = [bucket["Name"] for page in pages for bucket in page.get("Buckets", ())]
    except ClientError as error:
        if code_of(error) not in DENIED:
            raise
        return []
    return [name for name in names if name.startswith(f"{stack}-") and _stack_of(s3, name) == stack]


def _stack_of(s3: Any, bucket: str) -> str | None:
    try:
        tags = s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    except ClientError as error:
        if code_of(error) in ("NoSuchTagSet", "NoSuchBucket", "AccessDenied"):
            return None  # of another owner or without tags, and so not one of ours
        raise
    return next((str(tag["Value"]) for tag in tags if tag["Key"] == TAG), None)


def check_bucket(s3: Any, bucket: str, region: str, remedy: str = "create it, or leave ExistingBucket out") -> None:
    """Makes sure that a bucket can serve the stack.

    Args:
        s3: a client.
        bucket: its name.
        region: that of the stack.
        remedy: what to do where there is no such bucket.

    Raises:
        AccountError: it is not there, belongs to others or lies in another region.
    """
    try:
        answer = s3.head_bucket(Bucket=bucket)
    except ParamValidationError as error:
        raise AccountError(f"{bucket!r} is not a bucket's name: correct it") from error
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        headers = error.response["ResponseMetadata"].get("HTTPHeaders", {})
        if status == 404:
            raise AccountError(f"there is no bucket {bucket}: {remedy}") from error
        if status == 301 or headers.get("x-amz-bucket-region", region) != region:
            where = headers.get("x-amz-bucket-region", "another region")
            raise AccountError(
                f"the bucket {bucket} is in {where}, and the stack in {region}: give --region"
            ) from error
        if status == 403:
            raise AccountError(f"the bucket {bucket} is closed to you: does it belong to others?") from error
        raise
    there = answer.get("BucketRegion") or region
    if there != region:
        raise AccountError(f"the bucket {bucket} is in {there}, and the stack in {region}: give --region {there}")


def empty(s3: Any, bucket: str, say: Callable[[str], None]) -> int:
    """Removes every version of every object, and what uploads have left.

    Returns:
        How many were removed.

    Raises:
        AccountError: S3 keeps one of them.
    """
    removed = 0
    for batch in _batches(s3, bucket):
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
        if errors := answer.get("Errors"):
            first = errors[0]
            raise AccountError(f"s3://{bucket}/{first['Key']} cannot be removed: {first['Code']}: {first['Message']}")
        removed += len(batch)
        say(f"removed {removed:,} objects and versions of s3://{bucket}")
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for upload in page.get("Uploads", ()):
            s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    return removed


def _batches(s3: Any, bucket: str) -> Iterator[list[dict[str, str]]]:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": BATCH}):
        found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        if found:
            yield [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]


def holds_anything(s3: Any, bucket: str) -> bool:
    """Tells whether there is an object, or an old version of one."""
    answer = s3.list_object_versions(Bucket=bucket, MaxKeys=1)
    return bool(answer.get("Versions") or answer.get("DeleteMarkers"))
