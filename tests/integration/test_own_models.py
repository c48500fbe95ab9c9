"""Models of the user's own, from the file that a user has to the table of predictions."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from arro3.io import read_parquet

from lambda_image import load_engine, read_dataset
from lambda_image.data.partition import write_partition
from lambda_image.data.sizes import Sizes
from lambda_image.model.architecture import ModelConfig, RedshiftModel
from scripts.cli import main

pytestmark = pytest.mark.timeout(240)
SIX = Sizes(bands=6, side=64, magnitudes=6)


def galaxies(path: Path, sizes: Sizes, rows: int = 30) -> Path:
    """A dataset whose images hold what their magnitudes say, where there is one for each band."""
    rng = np.random.default_rng(0)
    magnitudes = rng.uniform(16, 20, (rows, sizes.magnitudes or sizes.bands)).astype(np.float32)
    flux = np.resize(10 ** ((22.5 - magnitudes) / 2.5), (rows, sizes.bands))
    images = rng.random((rows, *sizes.image), np.float32)
    images *= (flux / images.sum(axis=(2, 3)))[:, :, None, None]
    given = magnitudes[:, : sizes.magnitudes]
    write_partition(path, images, given, rng.random(rows), columns={"objid": np.arange(rows) + 10**17})
    return path


def table(out: Path) -> dict[str, np.ndarray]:
    found = read_parquet(out / "predictions.parquet").read_all()
    return {name: np.array(found[name].to_pylist()) for name in found.column_names}


def test_the_published_architecture_with_six_bands_and_64_pixels(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    torch.manual_seed(0)
    config = ModelConfig(bands=6, image_size=64, depth=2, image_features=24, magnitude_features=16, head_features=8)
    torch.save(RedshiftModel(config).state_dict(), tmp_path / "mine.pt")
    data, model = galaxies(tmp_path / "data.safetensors", SIX), tmp_path / "mine.safetensors"
    assert main(["split", str(data), "--size-mb", "1", "--out", str(tmp_path / "parts")]) == 0
    assert len(list((tmp_path / "parts").iterdir())) == 3  # ten galaxies of 98,332 bytes in each
    assert main(["convert", str(tmp_path / "mine.pt"), str(model)]) == 0
    demo = ["demo", "--world-size", "2", "--model", str(model), "--out", str(tmp_path / "out")]
    assert main([*demo, "--data", str(tmp_path / "parts")]) == 0
    assert "succeeded" in capfd.readouterr().out

    engine = load_engine(model, threads=1)
    part = read_dataset(tmp_path / "parts")
    assert engine.sizes == SIX
    found = table(tmp_path / "out")
    assert list(found)[3:9] == ["mag_1", "mag_2", "mag_3", "mag_4", "mag_5", "mag_6"]
    np.testing.assert_allclose(found["redshift"], engine.predict(part.images, part.magnitudes), atol=1e-5)
    np.testing.assert_array_equal(found["mag_6"], part.magnitudes[:, 5])
    np.testing.assert_array_equal(found["objid"], part.columns["objid"])
    assert not found["quality"].any()
    records = json.loads((tmp_path / "out" / "combined_data.json").read_text())
    assert [record["engine"] for record in records] == ["eager", "eager"]

    assert main(demo) == 2
    assert "--model takes images [6, 64, 64] and 6 magnitudes, and the sample galaxies" in capfd.readouterr().err
    other = galaxies(tmp_path / "five.safetensors", Sizes())
    assert main([*demo, "--data", str(other)]) == 1
    assert "five.safetensors: images have the shape [30, 5, 32, 32]; [N, 6, 64, 64] or" in capfd.readouterr().err
    assert main(["compile", "--model", str(model)]) == 1
    assert "PyTorch (INFERENCE_ENGINE=eager, or auto) runs it as it is" in capfd.readouterr().err
