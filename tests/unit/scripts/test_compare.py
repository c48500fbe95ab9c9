import json
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from lambda_image.errors import InvalidEvent, UsageError
from scripts import compare
from scripts.records.reading import TIME
from tests.unit.lambda_image.test_results import record
from tests.unit.scripts.flags import run_command
from tests.unit.scripts.records.test_reading import published, write
from tests.unit.scripts.records.test_statistics import made

run = partial(run_command, compare)


def test_the_csv_is_the_published_line(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run(shared / "reference", "--csv", tmp_path / "r.csv") == 0
    assert (tmp_path / "r.csv").read_text().splitlines() == [
        "partition (MB),data (GB),run,total_cpu_time (seconds),total_cpu_memory (MB),throughput_bps,total_bits",
        "25,1.0,1,5.6,732451.57,1506039734.24,8601655680.0",
    ]
    assert "2 ranks are outliers by 1.5iqr" in capsys.readouterr().out


def test_repeats_in_the_published_columns_and_all_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for name in ("1", "2"):
        path = f"result-partition-25MB/1GB/{name}"
        content = [{**one, "result_path": path} for one in made(int(name)).records]
        write(tmp_path / name / "combined_data.json", content)
    flags = ("--csv", tmp_path / "r.csv", "--json", tmp_path / "r.json")
    assert run(tmp_path, *flags) == 0
    frame = pd.read_csv(tmp_path / "r.csv")
    assert list(frame.columns) == list(compare.columns("data"))
    assert frame["run"].tolist() == ["1", "2", "mean"]
    report = json.loads((tmp_path / "r.json").read_bytes())
    assert frame[TIME].tolist() == [round(row[TIME], 2) for row in report["rows"]]
    assert [row["ranks"] for row in report["rows"]] == [41, 41, 82]
    assert report["runs"][0]["keys"][0]["key"] == TIME
    assert "3 rows in" in capsys.readouterr().out


def test_ours_beside_theirs_by_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write(tmp_path / "ours/combined_data.json", [record(0), record(1)])
    write(tmp_path / "theirs/combined_data.json", [published()])
    assert run(tmp_path / "ours", tmp_path / "theirs", "--by", "batch", "--csv", tmp_path / "r.csv") == 0
    assert pd.read_csv(tmp_path / "r.csv")["batch_size"].tolist() == [4, 512]
    assert "run-1" in capsys.readouterr().out


def test_a_run_goes_by_its_id_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    for name in ("demo", "other"):
        write(tmp_path / "out" / name / "combined_data.json", [record(0)])
        write(tmp_path / "out" / name / "summary.json", {"run_id": f"{name}-1"})
    assert run("demo-1", "out/other", "--json", "r.json") == 0
    places = [one["place"] for one in json.loads(Path("r.json").read_bytes())["runs"]]
    assert places == ["out/demo/combined_data.json", "out/other/combined_data.json"]
    with pytest.raises(UsageError, match=r"demo-2 does not exist: name .*, or runs in out/"):
        run("demo-2")


def test_nothing_is_left(tmp_path: Path):
    with pytest.raises(InvalidEvent, match="no record is left"):
        run(write(tmp_path / "combined_data.json", []))


def test_wrong_flags(tmp_path: Path):
    write(tmp_path / "combined_data.json", [published()])
    with pytest.raises(UsageError, match="--outliers is '2sd'"):
        run(tmp_path, "--outliers", "2sd")
    with pytest.raises(UsageError, match="in a folder that does not exist"):
        run(tmp_path, "--csv", "/nowhere/a.csv")
