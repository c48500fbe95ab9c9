"""Faults of S3, by the proxy between it and the functions."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.faults.bed import PREFIX, Bed
from tests.faults.fault import Fault, Injection
from tests.faults.faulty_s3 import SickS3
from tests.integration.system import BUCKET

Given = Iterator[Mapping[str, Any]]
THIRD = f"{PREFIX}/3.safetensors"  # the partition of rank 2
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


FAULTS = (
    Fault("every third request fails", "503 SlowDown", 40, sick(".*", "", status=503, every=3), fast=True),
    Fault("partitions come slowly", "0.4 MB/s", 30, sick("GET", r"\.safetensors", rate=400_000)),
    Fault("bodies are cut off", "six times, by RST", 30, sick("GET", r"\.safetensors", cut=700_000, times=6)),
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
