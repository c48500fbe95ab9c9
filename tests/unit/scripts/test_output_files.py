import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from lambda_image.errors import UsageError
from scripts.cli import main
from scripts.output_files import check_files, write_figures, write_picture


def written(picture: Path | None, figures: Path | None, drawn: bool | Exception) -> str:
    def draw(report: object, file: Path) -> bool:
        if isinstance(drawn, Exception):
            raise drawn
        return drawn

    console = Console(width=200)
    with console.capture() as capture:
        write_figures({"benchmark": "one"}, figures, console)
        write_picture({"benchmark": "one"}, picture, draw, console)
    return capture.get()


def test_figures_and_picture_are_written_and_said(tmp_path: Path):
    figures, picture = tmp_path / "bench.json", tmp_path / "bench.svg"
    assert written(picture, figures, True).splitlines() == [f"figures in {figures}", f"picture in {picture}"]
    assert json.loads(figures.read_text()) == {"benchmark": "one"}
    assert written(None, None, True) == ""


def test_why_there_is_no_picture(tmp_path: Path):
    assert "nothing was measured" in written(tmp_path / "bench.svg", None, False)
    assert "pip install" in written(tmp_path / "bench.svg", None, ImportError("no matplotlib"))


@pytest.mark.parametrize("name", ["bench.gif", "bench"])
def test_a_picture_has_a_known_ending(tmp_path: Path, name: str):
    with pytest.raises(UsageError, match=r"\.svg or \.png"):
        check_files(None, tmp_path / name)


def test_files_that_cannot_be_written_are_told_before_the_measurement(tmp_path: Path):
    check_files(tmp_path / "bench.json", tmp_path / "bench.png", find=lambda package: package)
    for file in (tmp_path, tmp_path / "none" / "bench.json"):
        with pytest.raises(UsageError, match=r"--json .* (is a folder|would be in a folder that does not exist)"):
            check_files(file, None)


def test_that_matplotlib_is_missing_is_told_before_the_measurement(tmp_path: Path):
    check_files(tmp_path / "bench.json", None, find=lambda package: None)
    with pytest.raises(UsageError, match=r"bench\.png needs matplotlib: pip install"):
        check_files(None, tmp_path / "bench.png", find=lambda package: None)


@pytest.mark.parametrize("benchmark", ["comm", "inference", "rendezvous"])
def test_every_benchmark_looks_for_it(tmp_path: Path, benchmark: str, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["bench", benchmark, "--picture", str(tmp_path / "bench.png")]) == 2
    told = capsys.readouterr()
    assert "needs matplotlib" in told.err
    assert not told.out
