import io
import json
from pathlib import Path

from lambda_image.events import parse
from lambda_image.manifest import Slice, assignments, manifest_key
from lambda_image.results import belongs
from lambda_image.shares import withhold
from scripts.bench.scale.run_server import ARN, PATH
from scripts.bench.scale.whole_run_server import WholeRunObjects

SPEC = {"ranks": 4, "galaxies": 30, "answer_s": 0.0, "present": [0, 2]}


def objects_in(folder: Path) -> WholeRunObjects:
    return WholeRunObjects({**SPEC, "folder": str(folder)})


def write_manifest(objects: WholeRunObjects) -> None:
    request = parse({"bucket": "b", "data_prefix": "d", "rendezvous_endpoint": "h:1", "result_path": PATH}, ARN)
    lines = io.BytesIO()
    lines.write(b"{}\n")  # what Init has returned
    dealt = [[Slice(f"d/{rank}")] for rank in range(4)]
    items = withhold(assignments(request, dealt, "00" * 32, 100.0, gather_width=3), "shares/00.jsonl", lines)
    objects.file(f"{PATH}/shares/00.jsonl").write_bytes(lines.getvalue())
    objects.file(manifest_key(PATH)).write_bytes(json.dumps(items).encode())


def test_what_ranks_are_not_there_for_is_made_up_from_the_manifest(tmp_path: Path):
    objects = objects_in(tmp_path)
    assert objects.find(f"{PATH}/1.json") is None
    write_manifest(objects)
    record = json.loads(objects.find(f"{PATH}/1.json") or b"")
    assert belongs(record, objects.items[1])
    assert record["partitions"][0]["key"] == "d/1"
    assert objects.items[1].gather_width == 3
    assert objects.find(record["predictions"]["key"]) is not None


def test_ranks_that_are_there_have_what_they_have_written(tmp_path: Path):
    objects = objects_in(tmp_path)
    write_manifest(objects)
    assert objects.find(f"{PATH}/2.json") is None
    assert [key for key, _ in objects.listed(f"{PATH}/predictions/")] == [
        f"{PATH}/predictions/{rank}.parquet" for rank in (1, 3)
    ]
    objects.file(f"{PATH}/predictions/2.parquet").write_bytes(b"four")
    assert (f"{PATH}/predictions/2.parquet", 4) in list(objects.listed(f"{PATH}/predictions/"))
