from pathlib import Path

from scripts.bench.scale.picture import draw

SPREAD = {"median": 2.0, "low": 1.0, "high": 3.0}
ENTRY = {"objects": 1000, "figures": {"seconds": SPREAD, "peak_mb": SPREAD}}
REPORT = {"machine": {"cpu": "EPYC", "cores": 2}, "init": [ENTRY, {**ENTRY, "objects": 10}]}


def test_time_and_memory_are_drawn_by_objects(tmp_path: Path):
    file = tmp_path / "scale.svg"
    assert draw(REPORT, file)
    assert "peak memory, MB" in file.read_text()


def test_without_figures_nothing_is_drawn(tmp_path: Path):
    assert not draw({**REPORT, "init": [{"objects": 10, "figures": {}}]}, tmp_path / "scale.svg")
    assert not draw({"machine": {}}, tmp_path / "scale.svg")


def test_a_run_has_a_line_for_each_process(tmp_path: Path):
    file = tmp_path / "scale.svg"
    figures = {"root_lap_s": SPREAD, "root_peak_mb": SPREAD, "inner_peak_mb": SPREAD}
    assert draw({"machine": REPORT["machine"], "run": [{"ranks": 300, "figures": figures}]}, file)
    assert "an inner rank" in file.read_text()
    assert "Summarize" not in file.read_text()
