"""`cosmicai infer` beside whole runs, and beside what the published model answered."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

from lambda_image.data.predictions import Predictions
from scripts.cli import main
from tests.integration.system import write_galaxies

pytestmark = pytest.mark.timeout(240)


def infer(data: Path, out: Path, *flags: object) -> Predictions:
    assert main(["infer", str(data), "--out", str(out), *map(str, flags)]) == 0
    return Predictions.from_parquet(out.read_bytes())


def test_it_predicts_what_a_run_does(tmp_path: Path):
    data = write_galaxies(tmp_path / "data", 1, 60) / "1.safetensors"
    assert main(["demo", "--world-size", "2", "--data", str(data), "--out", str(tmp_path / "run")]) == 0
    run = Predictions.from_parquet((tmp_path / "run" / "predictions.parquet").read_bytes())
    alone = infer(data, tmp_path / "alone.parquet", "--batch-size", 17)
    assert np.array_equal(alone.row, run.row)
    assert np.abs(alone.redshift - run.redshift).max() <= 1e-6


def test_shards_together_are_the_whole(tmp_path: Path):
    data = write_galaxies(tmp_path / "data", 3, 20)
    whole = infer(data, tmp_path / "whole.parquet")
    shards = [infer(data, tmp_path / f"{n}.parquet", "--shard", f"{n}/4") for n in range(4)]
    together = Predictions.concatenate(shards)
    for name in ("source", "row", "redshift_true", "quality"):
        assert np.array_equal(getattr(together, name), getattr(whole, name)), name
    assert np.abs(together.redshift - whole.redshift).max() <= 1e-6


def test_the_published_checkpoint_answers_as_it_did(shared: Path, tmp_path: Path):
    golden = shared / "golden"
    for name in ("checkpoint", "partition"):
        with (
            gzip.open(golden / f"published_format_{name}.pt.gz") as packed,
            (tmp_path / f"{name}.pt").open("wb") as file,
        ):
            shutil.copyfileobj(packed, file)
    found = infer(tmp_path / "partition.pt", tmp_path / "z.parquet", "--model", tmp_path / "checkpoint.pt")
    expected = np.load(golden / "published_format_outputs.npz")["output_float32"].reshape(-1)
    np.testing.assert_allclose(found.redshift, expected, rtol=1e-4)  # of thousands: these weights are no trained ones
