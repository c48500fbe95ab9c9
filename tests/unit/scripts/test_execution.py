import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from lambda_image.errors import InvalidEvent, UsageError
from lambda_image.summary import summarise
from scripts.execution import Execution, partition_files, where
from scripts.result_folder import result_folder
from tests.unit.lambda_image.test_results import manifest, record
from tests.unit.lambda_image.test_summary import predictions


def test_partitions_are_found_however_their_names_are_spelt(tmp_path: Path):
    for name in ("10.pt", "2.SAFETENSORS", "1.Pth", "notes.txt", ".DS_Store"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "3.pt").mkdir()
    files, ignored = partition_files(tmp_path)
    assert [file.name for file in files] == ["1.Pth", "2.SAFETENSORS", "10.pt"]
    assert ignored == 3


def test_one_dataset_is_itself(tmp_path: Path):
    (tmp_path / "galaxies").write_bytes(b"")
    assert partition_files(tmp_path / "galaxies") == ([tmp_path / "galaxies"], 0)


def test_a_folder_without_partitions_is_refused(tmp_path: Path):
    (tmp_path / "3.pt").mkdir()
    with pytest.raises(UsageError, match="holds no datasets"):
        partition_files(tmp_path)


def test_what_does_not_exist_is_said_not_to(tmp_path: Path):
    with pytest.raises(UsageError, match=r"nowhere\.pt does not exist"):
        partition_files(tmp_path / "nowhere.pt")


def test_a_dataset_is_split_by_rows_and_a_folder_by_file(tmp_path: Path):
    dataset = tmp_path / "all.pt"
    dataset.touch()
    assert where(dataset, [dataset], "data") == {"data_path": "data/all.pt"}
    assert where(tmp_path, [dataset], "data") == where(None, [dataset], "data") == {"data_prefix": "data"}


def ended() -> Execution:
    records = [record(0), record(1)]
    given = {"tolerated_failures": 0, "wall_s": 5.0, "memory_size_mb": 512}
    summary = summarise(manifest(), records, predictions(20), [], **given).to_json()
    contents = {"manifest": [item.to_json() for item in manifest()], "summary": summary, "combined_data": records}
    return Execution(
        {"status": "SUCCEEDED"}, {f"{name}.json": json.dumps(content).encode() for name, content in contents.items()}
    )


class BrokenTerminal(io.StringIO):
    """Takes nothing, as a terminal that has gone, and says so."""

    def write(self, text: str) -> int:
        raise OSError("the terminal has gone")


def test_results_are_written_before_anything_is_shown_of_them(tmp_path: Path):
    with (
        result_folder(tmp_path / "out") as out,
        redirect_stdout(BrokenTerminal()),
        pytest.raises(OSError, match="the terminal has gone"),
    ):
        ended().report(out, print)
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "manifest.json",
        "summary.json",
        "combined_data.json",
    }


def test_the_table_is_shown_even_where_the_results_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with result_folder(tmp_path / "out") as out:
        (tmp_path / "out").write_text("a file that came meanwhile")
        with pytest.raises(InvalidEvent, match=r"could not be written to --out"):
            ended().report(out, print)
    assert "succeeded" in capsys.readouterr().out
