import json
from pathlib import Path

from lambda_image.data.predictions import Predictions
from lambda_image.handlers.left_behind import described_statistics
from lambda_image.results import belongs, digest
from scripts.bench.scale.run_server import PATH, RunObjectsOnDemand


def test_every_rank_has_a_record_that_is_sound_and_the_table_that_it_names(tmp_path: Path):
    objects = RunObjectsOnDemand({"ranks": 11, "galaxies": 30, "folder": str(tmp_path)})
    for rank in (0, 10):
        record = json.loads(objects.find(f"{PATH}/{rank}.json") or b"")
        assert belongs(record, objects.items[rank])
        statistics = described_statistics(record)
        assert statistics is not None
        assert statistics.accuracy.accuracy().samples == 30
        table = objects.find(record["predictions"]["key"]) or b""
        assert digest(table) == record["predictions"]["blake2b"]
        assert len(Predictions.from_parquet(table)) == 30
    assert objects.find(f"{PATH}/11.json") is None
    assert len(list(objects.listed(f"{PATH}/predictions/"))) == 11
    assert [objects.record(rank)["transport"] for rank in (0, 1, 10)] == ["self", "direct", "direct"]
