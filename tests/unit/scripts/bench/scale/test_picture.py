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


def test_a_run_has_a_line_for_each_process_that_was_measured_and_the_bars(tmp_path: Path):
    file = tmp_path / "scale.svg"
    figures = {"root_lap_s": SPREAD, "root_peak_mb": SPREAD, "inner_peak_mb": SPREAD, "leaf_beyond_percent": SPREAD}
    assert draw({"machine": REPORT["machine"], "run": [{"ranks": 2048, "figures": figures}]}, file)
    drawn = file.read_text()
    for words in ("an inner rank", "a leaf", "Wall time by phase", "at most 400 MB", "at most 3 %", "2,048"):
        assert words in drawn, words
    assert "Summarize" not in drawn


def test_all_parts_are_drawn_into_one_picture(tmp_path: Path):
    file = tmp_path / "scale.png"
    run = {"ranks": 300, "figures": {"root_lap_s": SPREAD}}
    assert draw({**REPORT, "run": [run]}, file)
    assert file.stat().st_size > 0
