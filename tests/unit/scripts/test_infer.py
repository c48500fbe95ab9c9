import json
from pathlib import Path

import numpy as np
import pytest

from lambda_image.data.distributions import NAMES
from lambda_image.data.partition import write_partition
from lambda_image.data.predictions import Predictions
from lambda_image.data.sizes import PUBLISHED
from lambda_image.errors import PartitionMalformed, UsageError
from lambda_image.model.calibrated import CalibratedEngine
from scripts import infer
from scripts.infer import Inferred, predict
from scripts.shard import Stretch
from tests.unit.lambda_image.model.calibrations import calibration
from tests.unit.scripts.flags import parsed


class Echo:
    """An engine that predicts a hundredth of the r magnitude."""

    name, device, parameters_mb, sizes = "echo", "cpu", 0.0, PUBLISHED

    def predict(self, images, magnitudes):
        return magnitudes[:, 2] / 100


class Silent:
    def begin(self, total: int) -> None:
        self.total = total
        self.advanced: list[int] = []

    def advance(self, galaxies: int) -> None:
        self.advanced.append(galaxies)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    magnitudes = 17 + np.arange(50).reshape(10, 5) / 100
    write_partition(
        tmp_path / "galaxies.safetensors", np.ones((10, 5, 32, 32)), magnitudes, np.full(10, 0.17, np.float32)
    )
    return tmp_path / "galaxies.safetensors"


def inferred(stretches: list[Stretch], progress: Silent) -> Inferred:
    rows = sum(stretch.stop - stretch.start for stretch in stretches)
    return predict(stretches, Echo(), 4, "flag", progress, rows)


def test_a_share_is_inferred_in_batches_and_keeps_the_numbers_of_its_rows(file: Path):
    progress = Silent()
    found = inferred([Stretch(file, 2, 9)], progress)
    assert found.predictions.row.tolist() == list(range(2, 9))
    assert found.predictions.redshift == pytest.approx([0.17 + (5 * row + 2) / 10_000 for row in range(2, 9)])
    assert (progress.total, progress.advanced, found.work.batches) == (7, [4, 3], 2)


def test_a_share_without_rows_gives_a_table_without_rows():
    assert len(inferred([], Silent()).predictions) == 0


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--batch-size", 0], "--batch-size is 0"),
        (["--threads", 0], "--threads is 0"),
        (["--engine", "fast", "--device", "cuda"], "--engine is fast; allowed with --device cuda"),
        (["--shard", "2/2"], "--shard is '2/2'"),
        (["--out", "no/such/folder/x.parquet"], "--out no/such/folder/x.parquet would be in a folder that does not"),
        (["--json", "no/such/folder/x.json"], "--json no/such/folder/x.json would be in a folder that does not"),
        (["--plot", "x.pdf"], "--plot x.pdf: its name must end in"),
    ],
)
def test_a_wrong_flag_is_refused_before_anything_is_read(tmp_path: Path, flags: list[object], problem: str):
    (tmp_path / "galaxies.pt").write_bytes(b"no galaxies")
    with pytest.raises(UsageError, match=problem):
        infer.run(parsed(infer, tmp_path / "galaxies.pt", *flags))


def test_data_that_are_not_there_are_named():
    with pytest.raises(UsageError, match=r"^no-such-data does not exist: name a dataset, or a folder"):
        infer.run(parsed(infer, "no-such-data"))


def test_a_dataset_without_galaxies_is_refused(tmp_path: Path):
    (tmp_path / "1.safetensors").touch()
    with pytest.raises(PartitionMalformed, match="it holds no galaxies"):
        infer.run(parsed(infer, tmp_path))


def test_the_files_of_shards_do_not_collide():
    names = {infer.default_name(infer.parse_shard(f"{number}/3")) for number in range(3)}
    assert len({*names, infer.default_name(infer.parse_shard("0/1"))}) == 4


def test_predictions_figures_and_plot_are_written(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out, figures, plot = tmp_path / "z.parquet", tmp_path / "Results.json", tmp_path / "inference.png"
    assert infer.run(parsed(infer, file, "--out", out, "--json", figures, "--plot", plot), lambda *_: Echo()) == 0
    assert len(Predictions.from_parquet(out.read_bytes())) == 10
    report = json.loads(figures.read_text())
    assert report["MAE"] == pytest.approx(report["accuracy"]["mae"])
    assert (report["samples"], report["shard"]) == (10, "0/1")
    assert plot.read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert f"10 predictions in {out}" in " ".join(printed.split())
    assert "MAE" in printed


def test_a_galaxy_without_a_prediction_is_not_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    images = np.full((1, 5, 32, 32), np.nan, np.float32)
    write_partition(tmp_path / "a.pt", images, np.full((1, 5), 20), np.array([0.1]), file_format="pt")
    flags = ("--out", tmp_path / "z.parquet", "--plot", tmp_path / "z.png")
    assert infer.run(parsed(infer, tmp_path / "a.pt", *flags), lambda *_: Echo()) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"1 prediction in {tmp_path}/z.parquet" in printed
    assert "no plot, as no galaxy has a prediction and a known redshift" in printed
    assert not (tmp_path / "z.png").exists()


def test_nothing_that_is_there_is_replaced_unless_that_is_asked_for(file: Path, tmp_path: Path):
    """Before anything is inferred, which may take hours."""
    flags = {"--out": tmp_path / "z.parquet", "--json": tmp_path / "Results.json", "--plot": tmp_path / "z.png"}
    given = [word for pair in flags.items() for word in pair]
    for flag, path in flags.items():
        path.write_text("of last week")
        with pytest.raises(UsageError, match=f"{flag} {path} exists: name another file, or give --overwrite"):
            infer.run(parsed(infer, file, *given), lambda *_: pytest.fail("the engine was loaded"))
        path.unlink()
    for path in flags.values():
        path.write_text("of last week")
    assert infer.run(parsed(infer, file, *given, "--overwrite"), lambda *_: Echo()) == 0
    assert all(path.read_bytes() != b"of last week" for path in flags.values())
    before = file.read_bytes()
    with pytest.raises(UsageError, match=r"must end in \.parquet"):
        infer.run(parsed(infer, file, "--out", file, "--overwrite"))
    assert file.read_bytes() == before


def test_an_engine_with_a_calibration_gives_distributions_beside_error_bars(file: Path):
    assert "z_mode" not in inferred([Stretch(file, 0, 5)], Silent()).predictions.columns
    engine = CalibratedEngine(Echo(), calibration())
    found = predict([Stretch(file, 0, 5)], engine, 4, "flag", Silent(), 5).predictions
    np.testing.assert_allclose(found.columns["z_mode"], found.redshift, atol=1e-4)  # the distribution is symmetric
    read = Predictions.from_parquet(found.to_parquet())
    assert read.redshift_err is not None
    np.testing.assert_allclose(read.columns["z_mode"], found.redshift, atol=1e-4)
    described = engine.describe(found.redshift, found.magnitudes)
    for name in ("q0.025", "q0.16", "q0.5", "q0.84", "q0.975"):
        np.testing.assert_array_equal(read.columns[name], described.quantiles[:, NAMES.index(name)])
    assert "q0.01" not in read.columns
