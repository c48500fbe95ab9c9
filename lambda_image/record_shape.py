"""Whether what lies in the place of a rank's record can be read as one. Pure.

A record that is damaged, or that another version wrote, must not end a run whose other ranks are sound. It counts as
not written, and what the rank has finished is then taken from its stretches.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from lambda_image.data.distribution_parts import DistributionParts

Check = Callable[[Any], bool]
LARGEST = 2**63  # of a count; sums of 10,000 of them are still numbers


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _name(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < LARGEST


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and abs(value) < LARGEST


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _by_name(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def _with(**checks: Check) -> Check:
    return lambda value: (
        isinstance(value, dict) and all(name in value and check(value[name]) for name, check in checks.items())
    )


def _place(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and _text(value[0]) and _count(value[1])


def _are_parts(value: Any) -> bool:
    try:
        DistributionParts.from_json(value)
    except ValueError:
        return False
    return True


def _are_seconds(value: dict[str, Any]) -> bool:
    """Of the phases that earlier versions lack, or that not every rank has."""
    return _by_name(_or_none(_number))(value) and _number(value.get("wait_s", 0.0))


_rows: Mapping[str, Check] = {
    **dict.fromkeys(("in", "predicted", "flagged", "skipped"), _count),
    "flags": _by_name(_count),
    "first": _by_name(_place),
}
_seconds = ("cold_start_s", "download_s", "first_batch_s", "inference_s", "write_s", "gather_s", "total_s")
# What others read of a record. A claim has the first few of them.
CLAIM: Mapping[str, Check] = {"rank": _count, "attempt": _count, "gather_error": _or_none(_text)}
RECORD: Mapping[str, Check] = {
    **CLAIM,
    "error": _or_none(_text),
    "samples": _count,
    "rows": _with(**_rows),
    "bits": _number,
    "empty_partitions": _list_of(_text),
    "phases": lambda value: _with(**dict.fromkeys(_seconds, _number))(value) and _are_seconds(value),
    "memory_size_mb": _number,
    "transport": _text,
    "s3": _with(puts=_count, gets=_count, bytes_in=_count),
    "predictions": _or_none(_with(key=_name, bytes=_count, blake2b=_name)),
}
OPTIONAL: Mapping[str, Check] = {
    "tries": _count,
    "token": _text,
    "engine_damage": _or_none(_text),
    "weights": _or_none(_text),
    "adopted_by": _or_none(_count),
    "statistics": _or_none(_by_name(lambda part: isinstance(part, dict))),  # statistics.py judges what is in them
    "distributions": _or_none(_with(bytes=_count, parts=_are_parts)),
    "architecture": lambda value: value in ("x86_64", "arm64"),  # by which time has its price
}


def is_sound(content: Mapping[str, Any]) -> bool:
    """Tells whether everything in a record or a claim that others read is of its kind.

    Args:
        content: the JSON object.
    """
    needed = RECORD if "predictions" in content else CLAIM
    if not all(name in content and check(content[name]) for name, check in needed.items()):
        return False
    if not all(check(content[name]) for name, check in OPTIONAL.items() if name in content):
        return False
    try:
        json.dumps(content, allow_nan=False)  # the rest is passed on as it is, into objects that must be JSON
    except ValueError:
        return False
    return True
