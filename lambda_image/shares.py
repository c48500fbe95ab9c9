"""What stays out of the manifest's items: the run's key, which partitions each rank has, and what may be long.

The Map hands an item to each rank as the input of an execution of its own, and Step Functions keeps those inputs in
histories and logs that more people read than may read the bucket. An item therefore only names where in the bucket the
rest of it lies. It has at most ITEM_LIMIT bytes, however many partitions there are and whatever they are called.

All shares of a run are lines of one object, of which a rank reads its own. The object's name is random, so that an Init
that is tried again writes nothing over what ranks read by now. The line before the first share is the run as Init
returned it, by which such an Init knows what the first one said.
"""

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields, replace
from typing import IO, Any

from lambda_image.errors import InvalidEvent
from lambda_image.json_text import parse_json
from lambda_image.manifest import WITHHELD, Assignment, Run, Share, Slice
from lambda_image.storage import ObjectStore

ITEM_LIMIT = 1024  # bytes of JSON; Step Functions' own limit is 256 KiB, and a history keeps each item several times
PUBLIC = tuple(field.name for field in fields(Assignment) if field.name not in {*WITHHELD, "share"})
READ_BYTES = 1 << 20  # of the shares, at a time


def share_key(token: str) -> str:
    """Names the object of all shares, behind the result path; `token` is of hexadecimal digits."""
    return f"shares/{token}.jsonl"


def withhold(
    assignments: Iterable[Assignment],
    key: str,
    out: IO[bytes],
    run: Run | None = None,
    sizes: Sequence[int] | None = None,
) -> list[dict[str, Any]]:
    """Parts assignments into what everybody may see and what only ranks may.

    Args:
        assignments: of all ranks, in order of rank. One after another is looked at.
        key: where the shares will lie, behind the result path.
        out: takes the content of that object.
        run: what Init returns.
        sizes: bytes of each rank's partitions; None where nobody knows them.

    Returns:
        The items of the manifest.

    Raises:
        InvalidEvent: an item would be too large, because of a name in the execution input.
    """
    items, start = [], 0
    if run is not None:
        start = out.write(_line({"run": run.to_json()}))
    for rank, assignment in enumerate(assignments):
        withheld = {name: getattr(assignment, name) for name in WITHHELD}
        partitions = [part_to_json(part) for part in assignment.partitions]
        model = assignment.model and asdict(assignment.model)
        size = out.write(_line({"rank": assignment.rank, **withheld, "partitions": partitions, "model": model}))
        share = Share(key, start, size, len(partitions), sizes[rank] if sizes is not None else None)
        public = {name: getattr(assignment, name) for name in PUBLIC}
        items.append(_fitting({"run_id": assignment.run_id, **public, "share": asdict(share)}))
        start += size
    return items


def part_to_json(part: Slice) -> dict[str, Any]:
    """Gives a slice as JSON has it, as `asdict` would in many times the time."""
    return {"key": part.key, "rows": part.rows, "etag": part.etag}


def item_bytes(item: object) -> int:
    """Counts the bytes of an item of the Map, as Step Functions does."""
    return len(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode())


def _fitting(item: dict[str, Any]) -> dict[str, Any]:
    size = item_bytes(item)
    if size > ITEM_LIMIT:
        raise InvalidEvent(
            f"an item of the manifest would have {size:,} bytes, and {ITEM_LIMIT:,} are allowed: give a shorter "
            f"result_path ({len(item['result_path']):,} characters), bucket or name of the execution"
        )
    return item


def _line(content: object) -> bytes:
    return json.dumps(content).encode() + b"\n"


def begun_run(item: Assignment, store: ObjectStore) -> Run | None:
    """Reads what the Init returned that wrote a manifest.

    Args:
        item: the first of the manifest.
        store: the bucket of the results.

    Returns:
        The run, or None where it is not there.
    """
    if item.share is None or not item.share.start:
        return None
    with store.open(_object_key(item, item.share)) as reader:
        content = reader.read(item.share.start)
    try:
        return Run.from_json(parse_json(content)["run"])
    except (ValueError, KeyError, TypeError, InvalidEvent):
        return None


def _object_key(assignment: Assignment, share: Share) -> str:
    return f"{assignment.result_path}/{share.key}"


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
    there = [(assignment, assignment.share) for assignment in assignments if assignment.share is not None]
    if not there:
        return list(assignments)
    shares = [share for _, share in there]
    key, start = _object_key(*there[0]), min(share.start for share in shares)
    with store.open(key) as reader:
        reader.seek(start)
        content = reader.read(max(share.start + share.size for share in shares) - start)
    return [_completed(assignment, content, start, store.url(key)) for assignment in assignments]


def complete_in_order(assignments: Sequence[Assignment], store: ObjectStore) -> Iterator[Assignment]:
    """Does the same for all assignments of a run, one after another, and holds no more than one share.

    Yields:
        The assignments, in their order.

    Raises:
        InvalidEvent: a share is not there, or it is another one's.
    """
    key = next((_object_key(one, one.share) for one in assignments if one.share is not None), None)
    if key is None:
        yield from assignments
        return
    with store.open(key) as reader, io.BufferedReader(reader, READ_BYTES) as buffered:
        for assignment in assignments:
            if (share := assignment.share) is None:
                yield assignment
            else:
                buffered.seek(share.start)
                yield _completed(assignment, buffered.read(share.size), share.start, store.url(key))


def _completed(assignment: Assignment, content: bytes, first: int, url: str) -> Assignment:
    share = assignment.share
    if share is None:
        return assignment
    at = share.start - first
    try:
        found = parse_json(content[at : at + share.size])
        if found["rank"] != assignment.rank:
            raise ValueError(f"it is of rank {found['rank']}")
        public = {name: getattr(assignment, name) for name in PUBLIC}
        whole = Assignment.from_json({**public, **found})
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidEvent(
            f"{url}, bytes {share.start} to {share.start + share.size}, is not the share of rank {assignment.rank} "
            f"({error}): start the run again"
        ) from error
    return replace(whole, share=share)
