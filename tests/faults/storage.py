"""Faults of S3, by the proxy between it and the functions."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.faults.bed import PREFIX, Bed
from tests.faults.fault import Fault, Injection
from tests.faults.storage_proxy import Asked, Rule, Trouble
from tests.integration.system import BUCKET

Given = Iterator[Mapping[str, Any]]
SLOW_DOWN = Trouble(503, "SlowDown")
THIRD = f"{PREFIX}/3.safetensors"  # the partition of rank 2


def with_rule(make: Callable[[], Rule]) -> Injection:
    @contextmanager
    def inject(bed: Bed) -> Given:
        bed.storage.rule = make()
        yield {}

    return inject


def every_third() -> Rule:
    return lambda asked: SLOW_DOWN if asked.number % 3 == 0 else None


def slow() -> Rule:
    return lambda asked: Trouble(bytes_per_s=400_000) if asked.key.endswith(".safetensors") else None


def cut() -> Rule:
    left = [6]

    def rule(asked: Asked) -> Trouble | None:
        if asked.method != "GET" or not asked.key.endswith(".safetensors") or not left[0]:
            return None
        left[0] -= 1
        return Trouble(cut_after=700_000)

    return rule


def refused(method: str, trouble: Trouble, *parts: str) -> Callable[[], Rule]:
    """Requests whose key has one of `parts` in it get this answer."""
    return lambda: lambda asked: trouble if asked.method == method and any(p in asked.key for p in parts) else None


@contextmanager
def truncated(bed: Bed) -> Given:
    whole = bed.system.get(THIRD)
    bed.system.s3.put_object(Bucket=BUCKET, Key=THIRD, Body=whole[:-1000])
    try:
        yield {}
    finally:
        bed.system.s3.put_object(Bucket=BUCKET, Key=THIRD, Body=whole)


FAULTS = (
    Fault("every third request fails", "503 SlowDown", 40, with_rule(every_third), fast=True),
    Fault("partitions come slowly", "0.4 MB/s", 30, with_rule(slow)),
    Fault("bodies are cut off", "six times after 0.7 MB", 30, with_rule(cut)),
    Fault(
        "a partition is truncated",
        "1,000 bytes are missing at its end",
        20,
        truncated,
        lost=frozenset({2}),
        named=rf"rank 2: PartitionMalformed.*{THIRD}",
        fast=True,
    ),
    Fault(
        "a partition vanishes after Init",
        "404 NoSuchKey",
        20,
        with_rule(refused("GET", Trouble(404, "NoSuchKey"), THIRD)),
        lost=frozenset({2}),
        named=rf"rank 2: \w+: s3://{BUCKET}/{THIRD}",
    ),
    Fault(
        "a partition may not be read",
        "403 AccessDenied",
        20,
        with_rule(refused("GET", Trouble(403, "AccessDenied"), THIRD)),
        lost=frozenset({2}),
        named=rf"rank 2: \w+: .*s3://{BUCKET}/{THIRD}",
    ),
    Fault(
        "a rank may not write",
        "403 AccessDenied for the objects of rank 1",
        20,
        with_rule(refused("PUT", Trouble(403, "AccessDenied"), "predictions/1.", "/1.json", "attempts/1/")),
        lost=frozenset({1}),
        named="rank 1: .*s3://",
    ),
)
