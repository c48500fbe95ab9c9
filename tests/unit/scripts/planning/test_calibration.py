import json
from pathlib import Path
from typing import Any

import pytest

from lambda_image.errors import InvalidEvent
from scripts.catalogue.run_source import ResultFolderSource
from scripts.planning.calibration import calibrate, from_records
from tests.unit.scripts.billing.test_sources import folder

LOCAL, CLOUD = (
    f"arn:aws:states:us-east-1:{account}:execution:redshift:r" for account in ("123456789012", "210000000001")
)


def rank(number: int, execution: str = LOCAL, **phases: float) -> dict[str, Any]:
    """A rank of 100 galaxies, which 4 s of processor time infer in 2 s."""
    times = {"cold_start_s": 1.0, "download_s": 0.5, "inference_s": 2.0, "gather_s": 0.2, "total_s": 3.0}
    return {
        "execution": execution,
        "rank": number,
        "samples": 100,
        "inference_cpu_s": 4.0,
        "bits": 100 * 20_500 * 8,
        "phases": times | phases,
        "s3": {"puts": 4, "gets": 6, "bytes_in": 2_000_000},
        "predictions": {"bytes": 5000},
        "memory_size_mb": 3072,
        "total_process_memory (MB)": 150.0 + number,
    }


def test_the_constants_of_ranks_that_share_a_machine():
    found = from_records([rank(0), rank(1, download_s=1.0, total_s=3.5)], 4.5, 2, 4)
    assert found.local
    assert found.cpu_s == pytest.approx(0.04)
    assert found.cores == pytest.approx(4.0)  # 8 s of processor time within 2 s
    assert found.read_s == pytest.approx(1.0 / 4e6)  # all together
    assert found.fixed_s == pytest.approx(0.3)
    assert found.overhead_s == pytest.approx(1.0)  # beyond the slowest rank, whose worker was up before
    assert (found.start_s, found.gather_s, found.galaxy_bytes, found.part_bytes) == (1.0, 0.2, 20_500, 50)
    assert (found.puts, found.gets, found.peak_mb, found.galaxies, found.ranks) == (4, 3, 151.0, 200, 2)


def test_on_lambda_each_rank_reads_for_itself_and_starts_within_the_run():
    found = from_records([rank(0, CLOUD), rank(1, CLOUD)], 4.5, 2, 4)
    assert not found.local
    assert found.read_s == pytest.approx(0.5 / 2e6)
    assert found.overhead_s == pytest.approx(0.5)


def test_ranks_that_were_warm_tell_nothing_of_a_cold_start():
    warm = [rank(0, cold_start_s=0.0), rank(1, cold_start_s=2.0)]
    assert from_records(warm, 4.5, 2, 4).start_s == 2.0
    assert from_records(warm[:1], 4.5, 2, 4).start_s == 0.0


def test_the_results_of_a_run(tmp_path: Path):
    found = calibrate(folder(tmp_path))
    assert (found.galaxies, found.ranks, found.cpu_s) == (20, 2, pytest.approx(0.35))


def test_a_run_that_is_not_complete_is_refused(tmp_path: Path):
    source = folder(tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_bytes())
    (tmp_path / "summary.json").write_text(json.dumps(summary | {"wall_s": None}))
    with pytest.raises(InvalidEvent, match="is no complete run"):
        calibrate(source)
    (tmp_path / "other").mkdir()
    with pytest.raises(InvalidEvent, match="is no complete run"):
        calibrate(folder(tmp_path / "other", count=1))
    (tmp_path / "other/summary.json").unlink()
    with pytest.raises(InvalidEvent, match="is no complete run"):
        calibrate(ResultFolderSource(tmp_path / "other"))
