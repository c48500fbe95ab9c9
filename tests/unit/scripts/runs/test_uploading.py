"""Against a real S3 endpoint (moto's server on loopback)."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambda_image.errors import UsageError
from scripts.runs.place import Place
from scripts.runs.uploading import PART, FileSum, Uploaded, check_prefix, remove, upload
from scripts.stack.account import AccountError
from tests.unit.scripts.runs.conftest import BUCKET


@pytest.fixture
def s3(place: Place) -> Any:
    return place.client("s3")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two small ones, and one that travels in parts."""
    made = [tmp_path / f"{number}.safetensors" for number in (1, 2, 3)]
    for file, size in zip(made, (0, 1000, PART + 12345), strict=True):
        file.write_bytes(os.urandom(size))
    return made


def content(s3: Any, key: str) -> bytes:
    body: bytes = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    return body


def test_files_are_there_once_and_as_they_were(s3: Any, files: list[Path]):
    sizes = [file.stat().st_size for file in files]
    assert upload(s3, files, BUCKET, "datasets/a") == Uploaded(3, 0, sum(sizes))
    assert [content(s3, f"datasets/a/{file.name}") for file in files] == [file.read_bytes() for file in files]
    told: list[tuple[str, int]] = []
    again = upload(s3, files, BUCKET, "datasets/a", lambda file, sent: told.append((file.name, sent)))
    assert again == Uploaded(3, 3, 0)
    assert sorted(told) == [(file.name, 0) for file in files]


def test_an_upload_goes_on_with_what_is_missing_or_has_changed(s3: Any, files: list[Path]):
    upload(s3, files, BUCKET, "a")
    s3.delete_object(Bucket=BUCKET, Key="a/1.safetensors")
    s3.put_object(Bucket=BUCKET, Key="a/2.safetensors", Body=os.urandom(1000))  # of the same size
    assert upload(s3, files, BUCKET, "a") == Uploaded(3, 1, 1000)
    assert content(s3, "a/2.safetensors") == files[1].read_bytes()


def test_what_another_program_has_uploaded_is_known_by_the_checksum_of_s3(s3: Any, files: list[Path]):
    s3.put_object(Bucket=BUCKET, Key="a/2.safetensors", Body=files[1].read_bytes(), ChecksumAlgorithm="CRC32")
    assert upload(s3, files[1:2], BUCKET, "a").there_before == 1


def test_without_a_checksum_of_the_whole_the_one_among_the_metadata_counts():
    own = FileSum(3, "abc", "AAAAAA==")
    assert own.is_at({"ContentLength": 3, "Metadata": {"sha256": "abc"}})
    assert not own.is_at({"ContentLength": 3, "Metadata": {"sha256": "abd"}})
    assert not own.is_at({"ContentLength": 3})
    assert not own.is_at({"ContentLength": 4, "Metadata": {"sha256": "abc"}})
    assert own.is_at({"ContentLength": 3, "ChecksumCRC32": "BBBBBB==-2", "Metadata": {"sha256": "abc"}})
    parts = {"ChecksumCRC32": "BBBBBB==", "ChecksumType": "COMPOSITE"}
    assert own.is_at({"ContentLength": 3, **parts, "Metadata": {"sha256": "abc"}})
    # The bytes count, and not what somebody once wrote beside others.
    assert not own.is_at({"ContentLength": 3, "ChecksumCRC32": "BBBBBB==", "Metadata": {"sha256": "abc"}})


class Asked:
    """An S3 that notes which objects were asked for."""

    def __init__(self, s3: Any) -> None:
        self._s3, self.heads = s3, list[str]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)

    def head_object(self, **given: Any) -> Any:
        self.heads.append(given["Key"])
        return self._s3.head_object(**given)


def test_in_a_bucket_that_was_made_for_them_files_are_checked_when_they_have_come_and_not_before(
    s3: Any, files: list[Path]
):
    asked = Asked(s3)
    upload(asked, files[1:2], BUCKET, "a", fresh=True)
    assert asked.heads == ["a/2.safetensors"]
    upload(asked, files[1:2], BUCKET, "b")
    assert asked.heads == ["a/2.safetensors", "b/2.safetensors", "b/2.safetensors"]


class Swapping:
    """An S3 that has stored something else than was sent."""

    def __init__(self, s3: Any) -> None:
        self._s3 = s3

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)

    def upload_file(self, file: str, bucket: str, key: str, **given: Any) -> None:
        self._s3.put_object(Bucket=bucket, Key=key, Body=b"something else", Metadata=given["ExtraArgs"]["Metadata"])


def test_what_has_come_as_something_else_is_told(s3: Any, files: list[Path]):
    with pytest.raises(AccountError, match=r"s3://cosmic/a/2\.safetensors is not what .* is, .*: upload it again"):
        upload(Swapping(s3), files[1:2], BUCKET, "a")


def test_what_s3_refuses_is_what_is_raised(s3: Any, files: list[Path]):
    with pytest.raises(ClientError, match="NoSuchBucket"):
        upload(s3, files, "nowhere", "a")


def test_each_file_is_told_of_in_the_thread_that_sent_it(s3: Any, files: list[Path]):
    threads: set[int] = set()
    upload(s3, files, BUCKET, "a", lambda file, sent: threads.add(threading.get_ident()))
    assert threading.get_ident() not in threads


def test_partitions_of_others_under_the_prefix_are_not_mixed_with(s3: Any):
    for name in ("1.safetensors", "2.safetensors", "notes.txt", "old/7.safetensors"):
        s3.put_object(Bucket=BUCKET, Key=f"a/{name}", Body=b"")
    check_prefix(s3, BUCKET, "a", ["1.safetensors", "2.safetensors", "3.safetensors"])
    with pytest.raises(
        UsageError, match=r"s3://cosmic/a/ holds 1 other partition \(2\.safetensors\), which a run would"
    ):
        check_prefix(s3, BUCKET, "a", ["1.safetensors"])


def test_what_was_uploaded_for_one_run_is_removed(s3: Any, files: list[Path]):
    upload(s3, files, BUCKET, "a")
    s3.put_object(Bucket=BUCKET, Key="a/of-others", Body=b"")
    remove(s3, files, BUCKET, "a")
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["a/of-others"]
