"""The command that a new user types, on files of their own."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lambda_image.data.partition import read_partition, write_partition
from lambda_image.data.predictions import Predictions
from lambda_image.data.safetensors_format import write_safetensors
from lambda_image.model import SHIPPED_MODEL, engine
from lambda_image.model.engine_files import LOW_PRECISIONS
from scripts.cli import main
from scripts.runs.result_folder import result_folder
from tests.integration.system import write_galaxies

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(240)


def demo(out: Path, *arguments: object) -> int:
    return main(["demo", "--out", str(out), *map(str, arguments)])


def test_a_folder_of_partitions(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    data, out = write_galaxies(tmp_path / "data", 3, 20), tmp_path / "out"
    figures = tmp_path / "figures.json"
    assert demo(out, "--world-size", 2, "--data", data, "--batch-size", 16, "--json", figures) == 0
    said = capfd.readouterr().out
    for words in ("rank 0  inference", "of 40 samples", "succeeded", "1 direct, 1 self", "USD"):
        assert words in said
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["world_size"], summary["failed_ranks"], summary["gathered"]) == (2, [], True)
    told = json.loads(figures.read_text())
    assert (told["status"], told["run_id"], told["summary"]) == ("SUCCEEDED", summary["run_id"], summary)
    assert [record["rank"] for record in told["ranks"]] == [0, 1]
    assert summary["r2"] > 0.5  # of 60 galaxies: the weights fit the sample
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {
        "manifest.json",
        "0.json",
        "1.json",
        "predictions/1.parquet",
        "quantiles/1.parquet",
        "predictions.parquet",
    } <= files
    with result_folder(out, overwrite=True):  # knows all of them for a run's: the next one may replace them
        pass


@pytest.mark.skipif(shutil.which("g++") is None, reason="the engine is compiled by g++")
def test_ranks_infer_by_the_compiled_engine(tmp_path: Path):
    data, out = write_galaxies(tmp_path / "data", 2, 20), tmp_path / "out"
    model = shutil.copy(SHIPPED_MODEL, tmp_path / "weights.safetensors")
    made = tmp_path / "made.json"
    assert main(["compile", "--model", str(model), "--int8", "--bf16", "--json", str(made)]) == 0
    assert json.loads(made.read_text())["checks"].keys() == {"float32", *LOW_PRECISIONS}
    assert demo(out, "--world-size", 2, "--data", data, "--model", model) == 0
    records = json.loads((out / "combined_data.json").read_text())
    assert [record["engine"] for record in records] == ["fast", "fast"]
    answers = Predictions.from_parquet((out / "predictions.parquet").read_bytes()).redshift
    eager = engine.load(model, threads=1, name="eager")
    files = [read_partition(file) for file in sorted(data.iterdir())]
    expected = np.concatenate([eager.predict(file.images, file.magnitudes) for file in files])
    assert np.abs(answers - expected).max() <= 1e-5
    for name in LOW_PRECISIONS:
        low = engine.load(model, threads=1, name=name)
        answers = np.concatenate([low.predict(file.images, file.magnitudes) for file in files])
        assert 0 < np.abs(answers - expected).max() <= 2e-3, name


def test_what_a_summary_warns_of_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    (file,) = write_galaxies(tmp_path / "data", 1, 20).iterdir()
    galaxies = read_partition(file)
    galaxies.magnitudes[5, 1] = -9999
    write_partition(file, galaxies.images, galaxies.magnitudes, galaxies.redshifts)
    assert demo(tmp_path / "out", "--world-size", 1, "--data", file) == 0
    assert "warning: magnitude_bad in 1 of 20 galaxies" in capfd.readouterr().out


def test_empty_partitions_refuse_no_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    data = write_galaxies(tmp_path / "data", 3, 5)
    (data / "1.safetensors").write_bytes(b"")
    (data / "notes.txt").touch()
    nothing = {"images": np.empty((0, 5, 32, 32), np.float32), "magnitudes": np.empty((0, 5), np.float32)}
    write_safetensors(data / "2.safetensors", nothing)
    assert demo(tmp_path / "out", "--world-size", 2, "--data", data) == 0
    said = capfd.readouterr().out
    assert "have 0 bytes and no galaxies: 1.safetensors" in said
    assert "warning: 1 partition holds no galaxies: data/2.safetensors" in said
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["samples"] == 5
    assert summary["warnings"][0] == f"1 file of another kind (notes.txt) in {data}/ is not read"


def test_a_dataset_without_galaxies_is_told_before_anything_starts(tmp_path: Path, capfd):
    nothing = {"images": np.empty((0, 5, 32, 32), np.float32), "magnitudes": np.empty((0, 5), np.float32)}
    write_safetensors(tmp_path / "empty.safetensors", nothing)
    assert demo(tmp_path / "out", "--data", tmp_path / "empty.safetensors") == 1
    told = capfd.readouterr()
    assert "empty.safetensors: it holds no galaxies" in told.err
    assert not told.out


def test_the_key_of_a_server_of_ones_own_is_not_the_demos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RENDEZVOUS_KEY_FILE", str(tmp_path / "key"))
    data, out = write_galaxies(tmp_path / "data", 2, 5), tmp_path / "out"
    assert demo(out, "--world-size", 2, "--data", data) == 0
    assert json.loads((out / "summary.json").read_text())["gathered"]


def test_a_run_that_fails_leaves_what_it_has(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    data, out = write_galaxies(tmp_path / "data", 1, 20), tmp_path / "out"
    nothing = np.full((1, 5, 32, 32), np.nan, np.float32)
    write_partition(data / "2.safetensors", nothing, np.zeros((1, 5), np.float32))
    assert demo(out, "--world-size", 2, "--data", data, "--on-bad-row", "fail") == 1
    told = capfd.readouterr().err
    assert "row 0 cannot be judged, as a pixel of the image is not finite" in told
    assert f"is in {out}/ now" in told
    assert (out / "predictions" / "0.parquet").exists()
    with result_folder(out, overwrite=True):
        pass


def test_where_there_is_no_room_for_the_objects_one_line_says_so(tmp_path: Path):
    """A limit on the size of files is as good as a full disk."""
    data, limit = write_galaxies(tmp_path / "data", 1, 300), 2**20
    words = f"""
import resource, sys
from scripts.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
sys.exit(main(["demo", "--world-size", "1", "--data", {str(data)!r}, "--out", {str(tmp_path / "out")!r}]))
"""
    answer = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, cwd=ROOT)
    assert (answer.returncode, answer.stderr.count("\n")) == (1, 1), answer.stderr
    assert answer.stderr.startswith("cosmicai: the local endpoint refuses: ")
    assert "File too large (objects are kept in " in answer.stderr


def test_one_dataset_and_a_published_checkpoint(tmp_path: Path, shared: Path, capfd: pytest.CaptureFixture[str]):
    import gzip

    for name in ("checkpoint", "partition"):
        packed = (shared / "golden" / f"published_format_{name}.pt.gz").read_bytes()
        (tmp_path / f"{name}.pt").write_bytes(gzip.decompress(packed))
    out = tmp_path / "out"
    given = ("--world-size", 3, "--data", tmp_path / "partition.pt", "--model", tmp_path / "checkpoint.pt")
    assert demo(out, *given) == 0
    assert f"`cosmicai convert {tmp_path / 'checkpoint.pt'} checkpoint.safetensors`" in capfd.readouterr().out
    answers = Predictions.from_parquet((out / "predictions.parquet").read_bytes())
    with np.load(shared / "golden" / "published_format_outputs.npz") as published:
        expected = published[published.files[0]].reshape(-1)
    np.testing.assert_allclose(answers.redshift, expected, rtol=1e-4)
    assert answers.row.tolist() == list(range(32))


def test_what_is_not_a_runs_result_is_not_overwritten(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    (tmp_path / "thesis.tex").write_text("years of work")
    assert demo(tmp_path) == 2
    assert "--out" in capfd.readouterr().err
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--world-size", "0"], 2, "--world-size is 0"),
        (["--data", "nowhere"], 2, "--data nowhere does not exist"),
        (["--model", "nowhere.pt"], 2, "--model nowhere.pt does not exist"),
        (["--model", "nowhere.safetensors"], 2, "--model nowhere.safetensors does not exist"),
    ],
)
def test_a_mistake_is_told_before_anything_starts(tmp_path: Path, capfd, arguments, status, words):
    assert demo(tmp_path / "out", *arguments) == status
    told = capfd.readouterr()
    assert words in told.err
    assert not told.out
