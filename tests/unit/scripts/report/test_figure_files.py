from pathlib import Path

from scripts.report.figure import Figure, axis
from scripts.report.figure_files import write_figures

SPEC = {"mark": "point", "encoding": {"x": axis("a")}}


def test_each_figure_is_three_files(tmp_path: Path):
    few, many = [(1,), (2,)], [(1,)] * 4
    figures = [Figure("few", "T", "C.", ("a",), few, SPEC), Figure("table", "T", "C.", ("a",), few)]
    write_figures([*figures, Figure("many", "T", "C.", ("a",), many, SPEC)], tmp_path / "report", many_marks=3)
    names = {file.name for file in (tmp_path / "report").iterdir()}
    assert names == {"few.csv", "few.png", "few.svg", "table.csv", "many.csv", "many.png"}
    assert (tmp_path / "report/few.csv").read_text() == "a\n1\n2\n"
    assert (tmp_path / "report/few.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "report/few.svg").read_text()
