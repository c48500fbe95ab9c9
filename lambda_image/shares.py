"""What stays out of the manifest's items: the run's key, and which partitions each rank has.

The Map hands an item to each rank as the input of an execution of its own, and Step Functions keeps those inputs in
histories and logs that more people read than may read the bucket. An item therefore only names where in the bucket the
rest of it lies. It has the same few hundred bytes however many partitions there are.

All shares of a run are lines of one object, of which a rank reads its own. The object's name is random, so that an Init
that is tried again writes nothing over what ranks read by now.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from lambda_image.errors import InvalidEvent
from lambda_image.json_text import parse_json
from lambda_image.manifest import Assignment, Share
from lambda_image.storage import ObjectStore

WITHHELD = ("run_key", "partitions")


def share_key(result_path: str, token: str) -> str:
    """Names the object of all shares; `token` is of hexadecimal digits."""
    return f"{result_path}/shares/{token}.jsonl"


def withhold(assignments: Sequence[Assignment], key: str) -> tuple[list[dict[str, Any]], bytes]:
    """Parts assignments into what everybody may see and what only ranks may.

    Args:
        assignments: of all ranks, in order of rank.
        key: where the shares will lie.

    Returns:
        The items of the manifest, and the content of the object at `key`.
    """
    items, lines, start = [], [], 0
    for assignment in assignments:
        whole = assignment.to_json()
        line = json.dumps({name: whole[name] for name in ("rank", *WITHHELD)}).encode() + b"\n"
        share = Share(key, start, len(line))
        items.append({name: value for name, value in whole.items() if name not in WITHHELD} | {"share": asdict(share)})
        lines.append(line)
        start += len(line)
    return items, b"".join(lines)


def complete(assignment: Assignment, store: ObjectStore) -> Assignment:
    """Adds an assignment's share, which is read from the bucket. One that is complete already is returned as it is.

    Raises:
        InvalidEvent: the share is not there, or it is another one's.
    """
    return assignment if assignment.share is None else complete_all([assignment], store)[0]


def complete_all(assignments: Sequence[Assignment], store: ObjectStore) -> list[Assignment]:
    """Does the same for several assignments of one run, whose shares lie in one object, by one request or two.

    Raises:
        InvalidEvent: a share is not there, or it is another one's.
    """
    shares = [assignment.share for assignment in assignments if assignment.share is not None]
    if not shares:
        return list(assignments)
    key, start = shares[0].key, min(share.start for share in shares)
    with store.open(key) as reader:
        reader.seek(start)
        content = reader.read(max(share.start + share.size for share in shares) - start)
    return [_completed(assignment, content, start, store.url(key)) for assignment in assignments]


def _completed(assignment: Assignment, content: bytes, first: int, url: str) -> Assignment:
    share = assignment.share
    if share is None:
        return assignment
    at = share.start - first
    try:
        found = parse_json(content[at : at + share.size])
        if found["rank"] != assignment.rank:
            raise ValueError(f"it is of rank {found['rank']}")
        whole = Assignment.from_json({**assignment.to_json(), **found, "share": None})
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidEvent(
            f"{url}, bytes {share.start} to {share.start + share.size}, is not the share of rank {assignment.rank} "
            f"({error}): start the run again"
        ) from error
    return replace(whole, share=share)
