"""Files on their way to S3: in parallel and in parts, without what is there already, and checked when they have come.

Each object keeps the SHA-256 of its file among its metadata, by which a later upload knows it. S3 computes a CRC32 of
all that it has stored, which is compared with that of the file. A transfer that is broken off is no object, so that an
upload that is begun again goes on with the files that are not there.
"""

import base64
import hashlib
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from lambda_image.errors import UsageError
from lambda_image.partition_names import printable, select
from scripts.stack.account import AccountError
from scripts.words import counted

FILES_AT_A_TIME, PARTS_AT_A_TIME = 3, 3  # nine connections together: a client of boto3 keeps ten open
PART = 8 << 20  # bytes
PIECE = 1 << 20  # bytes of a file that are in memory while it is summed up
SUM = "sha256"  # among an object's metadata


@dataclass(frozen=True)
class FileSum:
    """What tells a file from others."""

    size: int  # bytes
    sha256: str  # hex
    crc32: str  # as S3 writes it, in base64

    @classmethod
    def of(cls, file: Path) -> "FileSum":
        """Reads a file."""
        sha256, crc32, size = hashlib.sha256(), 0, 0
        with file.open("rb") as source:
            while piece := source.read(PIECE):
                sha256.update(piece)
                crc32 = zlib.crc32(piece, crc32)
                size += len(piece)
        return cls(size, sha256.hexdigest(), base64.b64encode(crc32.to_bytes(4, "big")).decode())

    def is_at(self, found: dict[str, Any]) -> bool:
        """Tells whether an object, as HeadObject describes it, holds the file."""
        if found["ContentLength"] != self.size:
            return False
        stored = _whole_crc32(found)
        return stored == self.crc32 if stored else found.get("Metadata", {}).get(SUM) == self.sha256


@dataclass(frozen=True)
class Uploaded:
    """What an upload has done."""

    files: int
    there_before: int
    bytes_sent: int


def check_prefix(s3: Any, bucket: str, prefix: str, names: Iterable[str]) -> None:
    """Makes sure that no other partitions lie where some are to go, since a run would read them, too.

    Args:
        s3: a client.
        bucket: its name.
        prefix: where they are to go.
        names: those of the files that go there.

    Raises:
        UsageError: others lie there.
    """
    under, wanted = f"{prefix}/", set(names)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=under, Delimiter="/")
    there = [found["Key"].removeprefix(under) for page in pages for found in page.get("Contents", ())]
    if others := [name for name in select(name for name in there if name).partitions if name not in wanted]:
        raise UsageError(
            f"s3://{bucket}/{under} holds {counted(len(others), 'other partition')} ({printable(others[0])}), which a "
            "run would read together with these: name another prefix, or remove what lies there"
        )


def upload(
    s3: Any,
    files: Sequence[Path],
    bucket: str,
    prefix: str,
    done: Callable[[Path, int], None] = lambda file, size: None,
    *,
    fresh: bool = False,
) -> Uploaded:
    """Uploads files by their names, and leaves those out that are there.

    Args:
        s3: a client.
        files: what to upload.
        bucket: its name.
        prefix: what the keys begin with, before a slash.
        done: is told of each file that is there now, and how many bytes were sent of it. Any thread may call it.
        fresh: whether the bucket was made for these files, so that none of them need be looked for.

    Raises:
        AccountError: a file has come as something else.
        OSError: a file cannot be read.
        botocore's errors: S3 refuses or does not answer.
    """
    transfer = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=PARTS_AT_A_TIME)

    def send(file: Path) -> int:
        key, own = f"{prefix}/{file.name}", FileSum.of(file)
        if not fresh and (found := _head(s3, bucket, key)) is not None and own.is_at(found):
            done(file, 0)
            return -1
        given = {"Metadata": {SUM: own.sha256}, "ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}
        try:
            s3.upload_file(str(file), bucket, key, ExtraArgs=given, Config=transfer)
        except Boto3Error as error:  # it hides what S3 said in its message
            raise error.__context__ if isinstance(error.__context__, ClientError) else error from None
        found = _head(s3, bucket, key)
        if found is None or not own.is_at(found):
            raise AccountError(
                f"s3://{bucket}/{key} is not what {printable(file)} is, since the file or the object was changed "
                "meanwhile: upload it again"
            )
        done(file, own.size)
        return own.size

    with ThreadPoolExecutor(FILES_AT_A_TIME) as threads:
        try:
            sent = list(threads.map(send, files))
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return Uploaded(len(files), sent.count(-1), sum(size for size in sent if size > 0))


def remove(s3: Any, files: Sequence[Path], bucket: str, prefix: str) -> None:
    """Removes what `upload` has put there."""
    for file in files:
        s3.delete_object(Bucket=bucket, Key=f"{prefix}/{file.name}")


def _head(s3: Any, bucket: str, key: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    except ClientError as error:
        # Without s3:ListBucket S3 answers 403 for what is missing. If it is the object itself, the upload is refused.
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (403, 404):
            return None
        raise
    return found


def _whole_crc32(found: dict[str, Any]) -> str | None:
    """The CRC32 of an object; None where S3 keeps only that of its parts."""
    crc32 = found.get("ChecksumCRC32")
    parts = found.get("ChecksumType") == "COMPOSITE" or "-" in str(crc32)
    return None if crc32 is None or parts else str(crc32)
