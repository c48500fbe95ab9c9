"""All pages of a listing, several at a time where it is more than one.

What a page takes is mostly the way to S3 and back, so LISTERS requests are in flight. The ranges of keys that they list
come from key_range.py. A page that is not the last of its range leaves the rest of it, which is cut into as many ranges
as there are listers without work. A range that turns out to be empty was asked for in vain, so such requests have a
budget, which grows with the pages that have keys.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from lambda_image.storage.key_range import KeyRange, SeenNames

if TYPE_CHECKING:
    from concurrent.futures import Future

LISTERS = 16  # as many as the client keeps connections
IN_VAIN, PAGES_FOR_ONE = 12, 8  # requests that may be, and one more for so many pages
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
    from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait  # late, as few folders need it

    seen = SeenNames(prefix)
    waiting, asked = deque(_rest(KeyRange(""), first, seen, IN_VAIN)), dict["Future[Any]", KeyRange]()
    pages, risked = 1, len(waiting) - 1  # requests that were, or may turn out to be, in vain
    yield first
    with ThreadPoolExecutor(LISTERS) as listers:
        try:
            while waiting or asked:
                while waiting and len(asked) < LISTERS:
                    begun = waiting.popleft()
                    asked[listers.submit(ask, **_wanted(begun))] = begun
                done, _ = wait(asked, return_when=FIRST_COMPLETED)
                for answered in done:
                    listed = asked.pop(answered)
                    page = _within(listed, answered.result())
                    if any(_entries(page)):
                        pages, risked = pages + 1, risked - (listed.token is None)
                    idle, budget = LISTERS - len(asked) - len(waiting), IN_VAIN + pages // PAGES_FOR_ONE - risked
                    rest = _rest(listed, answered.result(), seen, min(idle, 1 + max(0, budget)))
                    waiting.extend(rest)
                    risked += max(0, len(rest) - 1)
                    yield page
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
