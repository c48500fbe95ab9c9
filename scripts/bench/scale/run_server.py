"""A server in the place of S3 with what the ranks of a run have written. It prints the run beside its port.

Objects of ranks are made of a template when they are asked for, and differ from one another by the rank only.

    python -m scripts.bench.scale.run_server '{"ranks": 64, "galaxies": 10000, "folder": "/tmp/x"}'
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from lambda_image.events import parse
from lambda_image.manifest import Assignment, Run, Slice, assignments
from lambda_image.results import digest
from lambda_image.shares import withhold
from scripts.bench.scale.rank_templates import PARTITIONS, RankTemplates
from scripts.bench.scale.stand_in import StandInHandler, StandInObjects, serve

BUCKET, PATH, ARN = "bench", "results/scale", "arn:aws:states:us-east-1:1:execution:redshift:scale"
SHARES = "shares/00.jsonl"
PAGE = 1000


class RankObjects(StandInObjects):
    """What lies in a bucket in which objects of ranks are made when they are asked for."""

    items: list[Assignment]
    templates: RankTemplates

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "gets", "puts", "lists", "heads", "out_bytes", "in_bytes")

    def made_up(self, rank: int) -> bool:
        """Whether the objects of a rank are made when they are asked for."""
        return rank < len(self.items)

    def record(self, rank: int) -> dict[str, Any]:
        """The record of a rank."""
        return self.templates.record(self.items[rank])

    def find(self, key: str) -> bytes | None:
        """The content of an object."""
        if (kept := self.file(key)).exists():
            return kept.read_bytes()
        if found := re.fullmatch(rf"{PATH}/(?:(\d+)\.json|predictions/(\d+)\.parquet)", key):
            rank = int(found[1] or found[2])
            if self.made_up(rank):
                if found[1]:
                    return json.dumps(self.record(rank)).encode()
                return self.templates.table(rank).content
        return None

    def listed(self, prefix: str) -> Iterator[tuple[str, int]]:
        """The ranks' tables in S3's order, with their sizes."""
        if prefix != f"{PATH}/predictions/":
            return
        for rank in sorted(range(len(self.items)), key=str):
            yield f"{prefix}{rank}.parquet", len(self.templates.table(rank).content)


class RunObjectsOnDemand(RankObjects):
    """A run whose ranks have all ended."""

    def __init__(self, spec: dict[str, Any]) -> None:
        super().__init__(Path(spec["folder"]))
        ranks, galaxies = spec["ranks"], spec["galaxies"]
        event = {"bucket": BUCKET, "data_prefix": "galaxies", "rendezvous_endpoint": "h:1", "result_path": PATH}
        if "combine_limit" in spec:
            event["combine_limit"] = spec["combine_limit"]
        shares = [[Slice(f"galaxies/{rank}-{n}.pt") for n in range(PARTITIONS)] for rank in range(ranks)]
        self.items = list(assignments(parse(event, ARN), shares, "00" * 32, 100.0))
        self.templates = RankTemplates(galaxies)
        with self.file(f"{PATH}/{SHARES}").open("wb") as out:
            items = withhold(self.items, SHARES, out)
        self._put(f"{PATH}/manifest.json", json.dumps(items).encode())
        self.run = Run(ARN, BUCKET, f"{PATH}/manifest.json", PATH, ranks, 0, 100.0, ())

    def _put(self, key: str, content: bytes) -> None:
        self.file(key).write_bytes(content)


class RunHandler(StandInHandler):
    """Answers one connection."""

    metadata: ClassVar = {"run": digest(ARN.encode())}
    objects: RankObjects

    def do_GET(self) -> None:  # noqa: N802 - as the base class names it
        address = urlsplit(self.path)
        query, key = parse_qs(address.query), unquote(address.path).removeprefix(f"/{BUCKET}").lstrip("/")
        if "list-type" in query:
            self.objects.count(lists=1)
            self.answer(200, self._page(query))
            return
        content = self.objects.find(key)
        if content is None:
            self.refuse(404, "NoSuchKey")
            return
        begin = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        body = content[int(begin[1]) :] if begin else content
        if self.command == "GET":
            self.objects.count(gets=1, out_bytes=len(body))
        else:
            self.objects.count(heads=1)
        self.answer(206 if begin else 200, body, self.objects.metadata.get(key))

    do_HEAD = do_GET  # noqa: N815 - as the base class names it

    def _page(self, query: dict[str, list[str]]) -> bytes:
        after = int(query.get("continuation-token", ["0"])[0])
        found = list(self.objects.listed(query["prefix"][0]))
        entries = "".join(
            f'<Contents><Key>{key}</Key><Size>{size}</Size><ETag>"0a"</ETag></Contents>'
            for key, size in found[after : after + PAGE]
        )
        more = after + PAGE < len(found)
        token = f"<NextContinuationToken>{after + PAGE}</NextContinuationToken>" if more else ""
        return (
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{entries}</ListBucketResult>"
        ).encode()

    def do_PUT(self) -> None:  # noqa: N802 - as the base class names it
        address = urlsplit(self.path)
        query, key = parse_qs(address.query), unquote(address.path).removeprefix(f"/{BUCKET}").lstrip("/")
        body = self._body()
        self.objects.count(puts=1, in_bytes=len(body))
        if "uploadId" in query:
            with self.objects.file(f"upload:{key}").open("ab") as out:
                out.write(body)
        elif self.headers.get("If-None-Match") == "*" and self.objects.find(key) is not None:
            self.refuse(412, "PreconditionFailed")
            return
        else:
            self.objects.file(key).write_bytes(body)
            self._keep_metadata(key)
        self.answer(200, b"")

    def do_POST(self) -> None:  # noqa: N802 - as the base class names it
        address = urlsplit(self.path)
        key = unquote(address.path).removeprefix(f"/{BUCKET}").lstrip("/")
        self._body()
        self.objects.count(puts=1)
        if "uploads" in parse_qs(address.query, keep_blank_values=True):
            self._keep_metadata(key)
            name, told = "InitiateMultipartUploadResult", "<UploadId>1</UploadId>"
        else:
            self.objects.file(f"upload:{key}").rename(self.objects.file(key))
            name, told = "CompleteMultipartUploadResult", '<ETag>"0a"</ETag>'
        self.answer(200, f'<{name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{told}</{name}>'.encode())

    def do_DELETE(self) -> None:  # noqa: N802 - as the base class names it
        self.answer(204, b"")

    def _keep_metadata(self, key: str) -> None:
        begin = "x-amz-meta-"
        told = {name.lower().removeprefix(begin): value for name, value in self.headers.items()}
        self.objects.metadata[key] = {name: told[name] for name in told if f"{begin}{name}" in self.headers}

    def _body(self) -> bytes:
        """What is sent, be it in pieces with a checksum behind them."""
        if self.headers.get("Transfer-Encoding") != "chunked" and "aws-chunked" not in self.headers.get(
            "Content-Encoding", ""
        ):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = bytearray()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return bytes(body)


def main(spec: dict[str, Any]) -> None:
    objects = RunObjectsOnDemand(spec)
    serve(objects, type("Handler", (RunHandler,), {"objects": objects}), run=objects.run.to_json())


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
