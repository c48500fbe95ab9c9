"""Models of the user's own, from the file that a user has to the table of predictions."""

import contextlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from arro3.io import read_parquet

from lambda_image import load_engine, read_dataset
from lambda_image.data.partition import write_partition
from lambda_image.data.sizes import PUBLISHED, Sizes
from lambda_image.errors import CheckpointError
from lambda_image.model import SHIPPED_MODEL, checkpoint
from lambda_image.model.architecture import ModelConfig, RedshiftModel
from scripts.cli import main
from scripts.confined import check_confined
from scripts.galaxies import Mixture, render
from scripts.local_cloud import local_cloud
from tests.data import networks

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "models.md"
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
    network = RedshiftModel(config)
    torch.nn.init.constant_(network.concat_block[-1].bias, 0.5)  # its answers may be redshifts then
    torch.nn.init.normal_(network.concat_block[-1].weight, std=0.001)
    torch.save(network.state_dict(), tmp_path / "mine.pt")
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


class Uncertain(torch.nn.Module):
    """A network that is nothing like the published one."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = torch.nn.Sequential(
            torch.nn.Conv2d(SIX.bands, 8, 5, stride=4), torch.nn.BatchNorm2d(8), torch.nn.GELU(), torch.nn.Flatten()
        )
        self.head = torch.nn.Linear(8 * 15 * 15 + SIX.magnitudes, 1)

    def forward(self, image: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.head(torch.cat((self.maps(torch.asinh(image)), magnitude / 100), dim=1)))


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(1)
    made = Uncertain()
    for _ in range(3):  # batch norms that have seen something
        made(torch.rand(16, *SIX.image), torch.rand(16, SIX.magnitudes))
    return made


def export(network: torch.nn.Module, folder: Path, patch: dict[str, str] | None = None) -> Path:
    """Runs the lines of docs/models.md in the folder."""
    (block,) = re.findall(r"^```python\n(import torch\n.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert len([line for line in block.splitlines() if line.strip()]) <= 10
    for given, wanted in (patch or {}).items():
        assert given in block
        block = block.replace(given, wanted)
    with contextlib.chdir(folder):
        exec(block, {"network": network})
    return folder / "mine.onnx"


@pytest.fixture(scope="module")
def exported(network: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(network, tmp_path_factory.mktemp("exported"))


def expected(network: torch.nn.Module, path: Path) -> np.ndarray:
    part = read_dataset(path, sizes=SIX)
    with torch.inference_mode():
        answers = network.eval()(torch.from_numpy(part.images), torch.from_numpy(part.magnitudes))
    return answers.numpy()[:, 0]


def test_a_network_that_the_document_exports_runs_in_a_demo(
    network: torch.nn.Module, exported: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    data = galaxies(tmp_path / "data.safetensors", SIX)
    demo = ["demo", "--world-size", "2", "--batch-size", "4", "--data", str(data), "--model", str(exported)]
    assert main([*demo, "--out", str(tmp_path / "out")]) == 0
    assert "succeeded" in capfd.readouterr().out
    found = table(tmp_path / "out")
    np.testing.assert_allclose(found["redshift"], expected(network, data), atol=1e-5)
    assert "redshift_err" not in found
    records = json.loads((tmp_path / "out" / "combined_data.json").read_text())
    assert [record["engine"] for record in records] == ["onnx", "onnx"]


def test_a_network_runs_on_an_endpoint_that_has_it_and_its_uncertainties_come_back(tmp_path: Path):
    """As it does in containers, where MODEL mounts a file without an ending."""
    model = tmp_path / "model"
    model.write_bytes(networks.with_magnitudes().SerializeToString())
    data = galaxies(tmp_path / "data.safetensors", Sizes(3, 8, 2))
    with local_cloud(2, lambda event: None, {"MODEL_PATH": str(model), "INFERENCE_ENGINE": "auto"}) as cloud:
        cloud.wait_until_ready()
        invoke = ["invoke", "--endpoint-url", cloud.endpoint_url, "--world-size", "2", "--data", str(data)]
        assert main([*invoke, "--out", str(tmp_path / "out")]) == 0
    found, part = table(tmp_path / "out"), read_dataset(data)
    np.testing.assert_allclose(found["redshift_err"], part.magnitudes.mean(axis=1), rtol=1e-5)
    assert [name for name in found if name.startswith("mag_")] == ["mag_1", "mag_2"]


def test_a_network_in_train_mode_is_refused_before_anything_starts(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    (tmp_path / "mine.onnx").write_bytes(networks.mixing().SerializeToString())
    assert main(["demo", "--model", str(tmp_path / "mine.onnx"), "--out", str(tmp_path / "out")]) == 1
    told = capfd.readouterr()
    assert "export it in eval mode (network.eval())" in told.err
    assert told.err.count("\n") == 1
    assert not told.out


def test_a_network_exported_for_one_batch_size_is_refused(network: torch.nn.Module, tmp_path: Path):
    path = export(network, tmp_path, {", **free": ""})
    with pytest.raises(CheckpointError, match=r"its batch dimension is fixed to 2 in image .*: export it free"):
        load_engine(path)


def test_a_network_exported_into_several_files_is_refused(network: torch.nn.Module, tmp_path: Path):
    path = export(network, tmp_path, {"external_data=False": "external_data=True"})
    with pytest.raises(CheckpointError, match=r"lie in another file, .*external_data=False"):
        load_engine(path)


def test_a_network_of_a_tensor_of_a_terabyte_is_ended_within_its_memory(tmp_path: Path):
    """The file claims nothing: its operators make the tensor when they compute."""
    path = tmp_path / "mine.onnx"
    path.write_bytes(networks.of_a_huge_tensor().SerializeToString())
    with pytest.raises(CheckpointError, match=r"mine\.onnx: ") as refused:
        check_confined(path)
    assert "\n" not in str(refused.value)


def test_the_shipped_network_as_onnx_answers_as_it_does(tmp_path: Path):
    """Through all checks: a transformer with everything that PyTorch's exporter makes of it."""
    shipped = checkpoint.load(SHIPPED_MODEL)
    image, magnitude = torch.zeros(3, 5, 32, 32), torch.zeros(3, 5)
    batch = {0: torch.export.Dim("batch", min=2, max=65_536)}
    program = torch.export.export(shipped, (image, magnitude), dynamic_shapes=(batch, batch), strict=True)
    names = {"input_names": ["image", "magnitude"], "output_names": ["redshift"]}
    torch.onnx.export(program, (), tmp_path / "mine.onnx", external_data=False, verbose=False, **names)
    assert check_confined(tmp_path / "mine.onnx") == PUBLISHED
    sample = Mixture.shipped().draw(32, np.random.default_rng(0))[0]
    images = render(sample, np.random.default_rng(0))
    ours = load_engine(tmp_path / "mine.onnx")
    theirs = load_engine(SHIPPED_MODEL, engine="eager")
    assert ours.name == "onnx"
    np.testing.assert_allclose(ours.predict(images, sample), theirs.predict(images, sample), atol=1e-5)
