"""A server in the place of S3: a folder of any number of objects that exist as names only, and what is put beside it.

Keys are in order by construction, so that a page is found by bisection and made when it is asked for.

    python -m scripts.bench.scale.object_server '{"objects": 1000, "answer_s": 0.1, "folder": "/tmp/x"}'
"""

import json
import re
import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, overload
from urllib.parse import parse_qs, quote, urlsplit
from xml.sax.saxutils import escape

from scripts.bench.scale.stand_in import StandInHandler, StandInObjects, serve

PREFIX = "galaxies/"
PAGE = 1000
SMALLEST, STEP, SPAN = 20_000_000, 7919, 30_000_000  # sizes of the objects, which differ
CHUNK = 1 << 20


class NumberedKeys(Sequence[str]):
    """The keys of the folder, which are made when they are looked at."""

    def __init__(self, count: int) -> None:
        self._count, self._width = count, len(str(count))

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return [self[n] for n in range(*at.indices(self._count))]
        return f"{PREFIX}part-{at:0{self._width}d}.pt"


def size_of(number: int) -> int:
    """Return the bytes of an object."""
    return SMALLEST + number * STEP % SPAN


def page_of(keys: NumberedKeys, after: str, most: int = PAGE, size: Callable[[int], int] = size_of) -> bytes:
    """Return S3's answer to a listing from behind a key, where objects have the bytes that `size` gives by number."""
    start = bisect_right(keys, after)
    found = keys[start : start + most]
    more = start + len(found) < len(keys)
    entries = (
        f"<Contents><Key>{quote(key)}</Key><LastModified>2026-11-01T00:00:00.000Z</LastModified>"
        f"<ETag>&quot;{number:032x}&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>"
        f"<ChecksumType>FULL_OBJECT</ChecksumType><Size>{size(number)}</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
        for number, key in enumerate(found, start)
    )
    token = f"<NextContinuationToken>{escape(found[-1])}</NextContinuationToken>" if more else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>bench</Name><Prefix>{PREFIX}</Prefix><KeyCount>{len(found)}</KeyCount><MaxKeys>{PAGE}</MaxKeys>"
        f"<EncodingType>url</EncodingType><IsTruncated>{str(more).lower()}</IsTruncated>{token}"
        f"{''.join(entries)}</ListBucketResult>"
    ).encode()


class FolderObjects(StandInObjects):
    """What the server has, and what it was asked."""

    def __init__(self, spec: dict[str, Any]) -> None:
        super().__init__(Path(spec["folder"]), "lists", "puts", "gets", "put_bytes")
        self.keys, self.answer_s = NumberedKeys(spec["objects"]), float(spec["answer_s"])


class FolderHandler(StandInHandler):
    """Answers one connection."""

    objects: FolderObjects

    def do_GET(self) -> None:  # noqa: N802 - as the base class names it
        address = urlsplit(self.path)
        query = parse_qs(address.query)
        if "list-type" in query:
            self.objects.count(lists=1)
            time.sleep(self.objects.answer_s)
            after = query.get("continuation-token", query.get("start-after", [""]))[0]
            self.answer(200, page_of(self.objects.keys, after))
            return
        self.objects.count(gets=1)
        file = self.objects.file(address.path)
        if not file.exists():
            self.refuse(404, "NoSuchKey")
            return
        content = file.read_bytes()
        begin = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        self.answer(206 if begin else 200, content[int(begin[1]) if begin else 0 :])

    do_HEAD = do_GET  # noqa: N815 - as the base class names it

    def do_PUT(self) -> None:  # noqa: N802 - as the base class names it
        file, left = self.objects.file(urlsplit(self.path).path), int(self.headers.get("Content-Length", 0))
        self.objects.count(puts=1, put_bytes=left)
        taken = self.headers.get("If-None-Match") == "*" and file.exists()
        with open("/dev/null" if taken else file, "wb") as out:
            while left:
                piece = self.rfile.read(min(left, CHUNK))
                left -= len(piece)
                out.write(piece)
        if taken:
            self.refuse(412, "PreconditionFailed")
        else:
            self.answer(200, b"")


def main(spec: dict[str, Any]) -> None:
    objects = FolderObjects(spec)
    serve(objects, type("Handler", (FolderHandler,), {"objects": objects}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
