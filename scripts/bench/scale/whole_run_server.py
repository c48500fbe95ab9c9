"""A server in the place of S3 for a whole run. It lists partitions, keeps what is written, and makes up the rest.

Some ranks of the run are there and write their own objects. What the others would have written is made of a template,
as soon as Init has written the manifest.

    python -m scripts.bench.scale.whole_run_server \\
        '{"ranks": 64, "galaxies": 10000, "present": [0, 1, 2], "answer_s": 0.1, "folder": "/tmp/x"}'
"""

import json
import sys
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from lambda_image.manifest import Assignment, manifest_key, predictions_key
from lambda_image.shares import PUBLIC
from scripts.bench.scale.generated_partition import GeneratedPartition
from scripts.bench.scale.object_server import PREFIX, NumberedKeys, page_of
from scripts.bench.scale.rank_templates import RankTemplates
from scripts.bench.scale.run_server import PATH, RankObjects, RunHandler
from scripts.bench.scale.stand_in import serve


class WholeRunObjects(RankObjects):
    """What lies in the buckets."""

    def __init__(self, spec: dict[str, Any]) -> None:
        super().__init__(Path(spec["folder"]))
        self.partitions = NumberedKeys(spec["ranks"])
        self.answer_s, self._present = float(spec["answer_s"]), frozenset(spec["present"])
        self.templates = RankTemplates(spec["galaxies"])
        self.partition_bytes = GeneratedPartition(PREFIX, spec["galaxies"]).size

    @cached_property
    def items(self) -> list[Assignment]:  # type: ignore[override]
        """All ranks, from what Init has written."""
        items = [Assignment.from_json(item) for item in json.loads(self.file(manifest_key(PATH)).read_bytes())]
        assert items[0].share is not None
        lines = self.file(f"{PATH}/{items[0].share.key}").read_bytes().splitlines()[1:]  # the first is the run's
        found = zip(items, map(json.loads, lines), strict=True)
        return [Assignment.from_json({**{name: getattr(a, name) for name in PUBLIC}, **line}) for a, line in found]

    def made_up(self, rank: int) -> bool:
        """Whether a rank is one of those that are not there."""
        return rank not in self._present and self.file(manifest_key(PATH)).exists() and rank < len(self.items)

    def listed(self, prefix: str) -> Iterator[tuple[str, int]]:
        """The ranks' tables in S3's order, with their sizes."""
        if prefix == f"{PATH}/predictions/":
            for rank in sorted(range(len(self.items)), key=str):
                content = self.find(key := predictions_key(PATH, rank))
                if content is not None:
                    yield key, len(content)


class WholeRunHandler(RunHandler):
    """Answers one connection."""

    objects: WholeRunObjects

    def _page(self, query: dict[str, list[str]]) -> bytes:
        if query["prefix"][0] != PREFIX:
            return super()._page(query)
        time.sleep(self.objects.answer_s)
        after = query.get("continuation-token", query.get("start-after", [""]))[0]
        return page_of(self.objects.partitions, after, size=lambda _: self.objects.partition_bytes)


def main(spec: dict[str, Any]) -> None:
    objects = WholeRunObjects(spec)
    serve(objects, type("Handler", (WholeRunHandler,), {"objects": objects}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
