"""All pages of a listing, several at a time where it is more than one.

What a page takes is mostly the way to S3 and back, so LISTERS requests are in flight. The ranges of keys that they list
come from key_range.py. A page that is not the last of its range leaves the rest of it, which is cut into as many ranges
as there are listers without work, but not into more than there were pages. Few pages would not repay the ranges that
turn out to be empty.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from lambda_image.storage.key_range import KeyRange, SeenNames

LISTERS = 16  # as many as the client keeps connections
Ask = Callable[..., Any]  # for a page, by StartAfter or ContinuationToken


def each_page(ask: Ask, prefix: str) -> Iterator[Any]:
    """Lists what a prefix has.

    Args:
        ask: sends one request and returns S3's answer. It is called in several threads.
        prefix: what all keys begin with.

    Yields:
        Answers, in no order, without the keys that other answers have. A folder may be in two of them.
    """
    first = ask()
    if not first.get("IsTruncated"):
        yield first
        return
    seen, pages = SeenNames(prefix), 1
    waiting, asked = deque(_rest(KeyRange(""), first, seen, 1 + pages)), dict[Future[Any], KeyRange]()
    yield first
    with ThreadPoolExecutor(LISTERS) as listers:
        try:
            while waiting or asked:
                while waiting and len(asked) < LISTERS:
                    begun = waiting.popleft()
                    asked[listers.submit(ask, **_wanted(begun))] = begun
                done, _ = wait(asked, return_when=FIRST_COMPLETED)
                for answered in done:
                    page, listed = answered.result(), asked.pop(answered)
                    pages += 1
                    idle = LISTERS - len(asked) - len(waiting)
                    waiting.extend(_rest(listed, page, seen, min(idle, 1 + pages)))
                    yield _within(listed, page)
        finally:
            listers.shutdown(wait=False, cancel_futures=True)


def _wanted(listed: KeyRange) -> dict[str, str]:
    return {"ContinuationToken": listed.token} if listed.token else {"StartAfter": listed.after}


def _rest(listed: KeyRange, page: Any, seen: SeenNames, pieces: int) -> list[KeyRange]:
    """The ranges that a page leaves of its own."""
    if not page.get("IsTruncated"):
        return []
    last = max((entries[-1] for entries in _entries(page) if entries), default=listed.after)
    if not listed.holds(last):
        return []
    for entries in _entries(page):
        seen.add(entries)
    return KeyRange(last, listed.upto, page["NextContinuationToken"]).cut(pieces, seen)


def _entries(page: Any) -> list[list[str]]:
    """Keys and folders of a page, each in their order."""
    return [
        [item["Key"] for item in page.get("Contents", ())],
        [folder["Prefix"] for folder in page.get("CommonPrefixes", ())],
    ]


def _within(listed: KeyRange, page: Any) -> Any:
    """A page without what lies behind the end of its range, which another range has."""
    if listed.upto is None or not page.get("Contents") or listed.holds(page["Contents"][-1]["Key"]):
        return page
    return {**page, "Contents": [item for item in page["Contents"] if listed.holds(item["Key"])]}
