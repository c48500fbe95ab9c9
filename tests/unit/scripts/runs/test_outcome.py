import io
import json
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pytest

from lambda_image.errors import InvalidEvent
from scripts.runs.outcome import collect, report, tell_end
from scripts.runs.result_folder import result_folder
from tests.unit.lambda_image.judged import summarise
from tests.unit.lambda_image.test_results import manifest, record
from tests.unit.lambda_image.test_summary import predictions


@dataclass(frozen=True)
class KeptResults:
    """The results of a run in memory, and a way to a folder that may be broken."""

    contents: dict[str, bytes]
    broken: bool = False
    place: str = "s3://b/results/r/"

    def open(self, name: str) -> BinaryIO | None:
        return io.BytesIO(self.contents[name]) if name in self.contents else None

    def holds(self, path: Path) -> bool:
        return False

    def download(self, folder: Path) -> int:
        for name, content in self.contents.items():
            (folder / name).write_bytes(content)
        if self.broken:
            raise OSError(28, "No space left on device")
        return len(self.contents)


def kept(**given: bool) -> KeptResults:
    records = [record(0), record(1)]
    summary = summarise(manifest(), records, predictions(20)).to_json()
    contents = {"manifest": [item.to_json() for item in manifest()], "summary": summary, "combined_data": records}
    return KeptResults({f"{name}.json": json.dumps(content).encode() for name, content in contents.items()}, **given)


class BrokenTerminal(io.StringIO):
    """Takes nothing, as a terminal that has gone, and says so."""

    def write(self, text: str) -> int:
        raise OSError("the terminal has gone")


def test_results_are_written_before_anything_is_shown_of_them(tmp_path: Path):
    with result_folder(tmp_path / "out") as out, redirect_stdout(BrokenTerminal()):
        count = collect(kept(), out, print)
        with pytest.raises(OSError, match="the terminal has gone"):
            report({"status": "SUCCEEDED"}, out, count, print)
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "manifest.json",
        "summary.json",
        "combined_data.json",
    }


def test_the_table_is_shown_even_where_the_results_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with (
        result_folder(tmp_path / "out") as out,
        pytest.raises(InvalidEvent, match=r"could not be written to --out .*: No space left on device"),
    ):
        collect(kept(broken=True), out, print)
    assert "succeeded" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())  # no half of them


@pytest.mark.parametrize(
    ("described", "told"),
    [
        (
            {"status": "ABORTED", "error": "cosmicai", "cause": "stopped by the user"},
            "was stopped: cosmicai: stopped by",
        ),
        ({"status": "ABORTED"}, "was stopped\n"),
        ({"status": "TIMED_OUT"}, "took too long and was ended\n"),
        (
            {"status": "FAILED", "error": "States.Runtime", "cause": '{"errorMessage": "too large"}'},
            "the run failed: States.Runtime: too large\n",
        ),
        ({"status": "FAILED", "error": "PartitionMissing"}, "the run failed: PartitionMissing\n"),
        (
            {"status": "FAILED", "error": "PartitionMissing", "cause": '{"errorMessage": "no such object"}'},
            "the run failed: no such object\n",
        ),
    ],
)
def test_the_status_follows_the_run(described: dict[str, str], told: str, capsys: pytest.CaptureFixture[str]):
    assert tell_end(described, None) == 1
    assert told in capsys.readouterr().err
    assert tell_end({"status": "SUCCEEDED"}, None) == 0
    assert not capsys.readouterr().err
