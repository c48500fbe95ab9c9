"""Init over a folder of so many objects. What it wrote is read back, so that what is fast is also right."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lambda_image.shares import item_bytes
from scripts.bench.errors import BenchmarkError
from scripts.bench.scale.object_server import PREFIX, FolderObjects, NumberedKeys
from scripts.bench.scale.plan import ScalePlan
from scripts.bench.scale.processes import start_function, start_server
from scripts.series import Round

BUCKET, RESULTS = "bench", "results/scale"
ARN = "arn:aws:states:us-east-1:123456789012:execution:redshift:scale"
SECONDS, CPU, PEAK, ITEM, LISTS = "seconds", "cpu_s", "peak_mb", "item_bytes", "lists"


def init_round(plan: ScalePlan, objects: int, limit_s: float) -> Round:
    """Run Init once.

    Args:
        plan: To how many ranks it deals, and how long answers are held back.
        objects: How many there are.
        limit_s: The longest that it may take, in seconds.

    Raises:
        BenchmarkError: It failed, or the manifest that it wrote is wrong.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="cosmicai-"))
        spec = {"objects": objects, "answer_s": plan.answer_s, "folder": folder}
        server = start_server(stack, "object_server", spec, limit_s)
        init = start_function(stack, "init", server.answer()["port"], limit_s)
        before_mb = init.answer()["before_mb"]
        world = {"world_size": plan.world_size(objects), "deal": "bytes"}
        given = {"bucket": BUCKET, "data_prefix": PREFIX, "result_path": RESULTS, **world}
        init.tell(input=given, execution=ARN, started_at=datetime.now(UTC).isoformat())
        told = init.answer()
        server.tell()
        counts = server.answer()
        stored = FolderObjects(spec)
        items = json.loads(stored.file(f"/{BUCKET}/{told['returned']['manifest_key']}").read_bytes())
        shares = stored.file(f"/{BUCKET}/{RESULTS}/{items[0]['share']['key']}")
        check_dealt(objects, plan.world_size(objects), items, shares)
        return {
            **told["figures"],
            "before_mb": before_mb,
            ITEM: float(max(map(item_bytes, items))),
            **{name: float(count) for name, count in counts.items()},
        }


def check_dealt(objects: int, ranks: int, items: list[Mapping[str, Any]], shares: Path) -> None:
    """Make sure that every object has one rank, in their order, and that each item finds its share.

    Raises:
        BenchmarkError: It is not so.
    """
    keys, at = NumberedKeys(objects), 0
    for item, (start, line) in zip(items, _lines(shares), strict=True):
        share = json.loads(line)
        place = (item["share"]["start"], item["share"]["size"], item["share"]["partitions"], item["rank"])
        if place != (start, len(line), len(share["partitions"]), share["rank"]):
            raise BenchmarkError(f"the item of rank {item['rank']} does not find its share")
        found = [part["key"] for part in share["partitions"]]
        if found != keys[at : at + len(found)]:
            raise BenchmarkError(f"rank {item['rank']} has other objects than are its own")
        at += len(found)
    if at != objects or len(items) != ranks:
        raise BenchmarkError(f"{at:,} of {objects:,} objects were dealt, and {len(items):,} of {ranks:,} ranks")


def _lines(shares: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of the ranks, and where each begins. The first line is the run's."""
    start = 0
    with shares.open("rb") as file:
        for number, line in enumerate(file):
            if number:
                yield start, line
            start += len(line)
