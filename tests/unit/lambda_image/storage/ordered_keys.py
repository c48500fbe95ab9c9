"""A folder of S3 that is listed page by page, as S3 does it: by code points, and folders as one entry each."""

from bisect import bisect_right
from typing import Any


class OrderedKeys:
    def __init__(self, keys: list[str], prefix: str = "d/", page: int = 3) -> None:
        self.prefix, self.page = prefix, page
        names = {key.removeprefix(prefix) for key in keys if key.startswith(prefix)}
        heads = {name.partition("/") for name in names}
        self.entries = sorted({prefix + head + slash for head, slash, _ in heads})
        self.requests: list[dict[str, str]] = []

    def ask(self, **wanted: str) -> Any:
        self.requests.append(wanted)
        assert wanted.keys() <= {"StartAfter", "ContinuationToken"}
        after = wanted.get("ContinuationToken", wanted.get("StartAfter", ""))
        start = bisect_right(self.entries, after)
        found = self.entries[start : start + self.page]
        more = start + self.page < len(self.entries)
        return {
            "Contents": [{"Key": key, "Size": len(key), "ETag": "e"} for key in found if not key.endswith("/")],
            "CommonPrefixes": [{"Prefix": key} for key in found if key.endswith("/")],
            "IsTruncated": more,
        } | ({"NextContinuationToken": found[-1]} if more else {})
