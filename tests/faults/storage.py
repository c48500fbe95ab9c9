"""Faults of S3, by the proxy between it and the functions."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.faults.bed import PREFIX, RANKS, Bed
from tests.faults.fault import Fault, Injection
from tests.faults.faulty_s3 import NO_BUCKET, SickS3
from tests.integration.system import BUCKET

Given = Iterator[Mapping[str, Any]]
THIRD = f"{PREFIX}/3.safetensors"  # the partition of rank 2
NOWHERE = "no-such-bucket"
ONE_ATTEMPT = r"\A(?![\s\S]*\(attempt)"  # no rank was tried again
ALL = frozenset(range(RANKS))
OF_RANK_1 = r"/predictions/1\.|/1\.json|/attempts/1/"


def sick(method: str, path: str, **how: Any) -> Injection:
    """S3 is sick in one way for the whole run; see SickS3."""

    @contextmanager
    def inject(bed: Bed) -> Given:
        bed.storage.faults.append(SickS3(method, path, **how))
        yield {}

    return inject


@contextmanager
def truncated(bed: Bed) -> Given:
    whole = bed.system.get(THIRD)
    bed.system.s3.put_object(Bucket=BUCKET, Key=THIRD, Body=whole[:-1000])
    try:
        yield {}
    finally:
        bed.system.s3.put_object(Bucket=BUCKET, Key=THIRD, Body=whole)


@contextmanager
def no_data_bucket(_bed: Bed) -> Given:
    yield {"data_bucket": NOWHERE}


@contextmanager
def bucket_removed(bed: Bed) -> Given:
    """While the ranks infer; it held the input and would have held the results."""
    gone = SickS3(".*", f"^/{BUCKET}", status=404, answer=NO_BUCKET)
    bed.on(lambda _: bed.storage.faults.append(gone), phase="inference", rank=1)
    yield {}


FAULTS = (
    Fault("every third request fails", "503 SlowDown", 40, sick(".*", "", status=503, every=3), fast=True),
    Fault("partitions come slowly", "0.2 MB/s", 30, sick("GET", r"\.safetensors", rate=200_000)),
    Fault("every answer is slow", "half a second each", 40, sick(".*", "", delay=0.5)),
    Fault("there is no such bucket", "data_bucket", 20, no_data_bucket, lost=ALL, named=NOWHERE, alone=True),
    Fault(
        "the bucket is removed",
        "404 NoSuchBucket from rank 1's inference on",
        40,
        bucket_removed,
        lost=ALL,
        named=f"no bucket {BUCKET}",
        alone=True,
    ),
    Fault(
        "bodies are cut off",
        "six times, by RST",
        30,
        sick("GET", r"\.safetensors", cut=300_000, times=6),
        named=ONE_ATTEMPT,
    ),
    Fault("answers are cut off", "every third, after 200 bytes", 30, sick("GET", "", cut=200, every=3)),
    Fault(
        "a partition is truncated",
        "1,000 bytes are missing at its end",
        20,
        truncated,
        lost=frozenset({2}),
        named=rf"rank 2: PartitionMalformed.*{THIRD}",
        fast=True,
    ),
    *(
        Fault(what, how, 20, sick("GET", THIRD, status=status), lost=frozenset({2}), named=rf"rank 2: \w+: .*{THIRD}")
        for what, how, status in (
            ("a partition vanishes after Init", "404 NoSuchKey", 404),
            ("a partition may not be read", "403 AccessDenied", 403),
        )
    ),
    Fault(
        "a rank may not write",
        "403 AccessDenied for the objects of rank 1",
        20,
        sick("PUT", OF_RANK_1, status=403),
        lost=frozenset({1}),
        named="rank 1: .*s3://",
    ),
)
