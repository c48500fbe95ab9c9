"""Partitions of different sizes in whole runs: however they are dealt, the predictions are the same."""

from pathlib import Path

import numpy as np
import pytest

from lambda_image.data.partition import write_partition
from scripts.galaxies import Mixture, render
from tests.integration.system import System

ROWS = (6, 6, 6, 6, 60, 6, 6)

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def skewed(tmp_path: Path, system: System) -> str:
    rng = np.random.default_rng(7)
    for number, rows in enumerate(ROWS, 1):
        magnitudes, redshifts = Mixture.shipped().draw(rows, rng)
        write_partition(tmp_path / f"{number}.safetensors", render(magnitudes, rng), magnitudes, redshifts)
    system.upload(tmp_path, "skewed")
    return "skewed"


@pytest.mark.parametrize("concurrency", [{}, {"max_concurrency": 1}], ids=["all at once", "in waves"])
def test_dealt_by_bytes_or_files_the_predictions_are_the_same(system: System, skewed: str, concurrency: dict[str, int]):
    tables, samples = {}, {}
    for deal in (None, "files", "bytes"):
        path = f"dealing/{deal}/{len(concurrency)}"
        given = {"data_prefix": skewed, "world_size": 3, "result_path": path, **concurrency}
        ended = system.run(**given | ({"deal": deal} if deal else {}))
        assert ended["status"] == "SUCCEEDED", ended.get("cause")
        summary = system.json(f"{path}/summary.json")
        assert (summary["deal"], summary["samples"]) == (deal or "bytes", sum(ROWS))
        assert summary["gathered"] is not bool(concurrency)
        tables[deal] = system.predictions(path)
        items = system.json(f"{path}/manifest.json")
        samples[deal] = [system.json(f"{path}/{rank}.json")["samples"] for rank in range(3)]
        assert sum(item["share"]["partitions"] for item in items) == len(ROWS)
    assert samples == {None: [24, 60, 12], "files": [18, 66, 12], "bytes": [24, 60, 12]}
    for table in tables.values():
        assert table.source.tolist() == [
            f"{skewed}/{n}.safetensors" for n, rows in enumerate(ROWS, 1) for _ in range(rows)
        ]
        assert np.abs(table.redshift - tables[None].redshift).max() <= 1e-6
