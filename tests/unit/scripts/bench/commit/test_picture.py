from pathlib import Path

from scripts.bench.commit.picture import draw

REPORT = {
    "machine": {"cpu": "EPYC", "cores": 2},
    "ratios": {"rank_start_s": {"middle": 1.01, "low": 0.99, "high": 1.03}},
}


def test_the_ratios_are_drawn(tmp_path: Path):
    file = tmp_path / "ratios.svg"
    assert draw(REPORT, file)
    assert "start of a rank alone" in file.read_text()


def test_without_ratios_nothing_is_drawn(tmp_path: Path):
    assert not draw({**REPORT, "ratios": {}}, tmp_path / "ratios.svg")
