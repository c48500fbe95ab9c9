from pathlib import Path
from typing import Any

import pytest

from scripts.bench.rendezvous.picture import draw

pytest.importorskip("matplotlib")

MACHINE = {"cpu": "a processor", "cores": 2}


def entry(figure: str, **labels: object) -> dict[str, Any]:
    return {**labels, "figures": {figure: {"median": 2.0, "low": 1.0, "high": 4.0}}}


def pairing(server: str, in_flight: int, silent: int) -> dict[str, Any]:
    both = entry("p99_ms", server=server, in_flight=in_flight, silent=silent, slow=0, bytewise=0)
    both["figures"]["pairings_per_s"] = both["figures"]["p99_ms"]
    return both


def test_a_panel_for_each_question(tmp_path: Path):
    relay = entry("raw_mb_per_s", bytes=1)
    relay["figures"]["relay_mb_per_s"] = relay["figures"]["raw_mb_per_s"]
    report = {
        "machine": MACHINE,
        "pairing": [pairing(server, number, silent) for server in "AB" for number in (2, 50) for silent in (0, 300)],
        "group": [entry("ms", server="ours", world_size=size, topology="full") for size in (4, 4096)],
        "relay": [relay],
    }
    file = tmp_path / "bench.svg"
    assert draw(report, file)
    drawn = file.read_text()
    for words in (
        "a processor",
        "pairings/s",
        "99th percentile",
        "B, 300 silent",
        "time to the last table",
        "4,096",
        "raw pair",
    ):
        assert words in drawn  # as a comment beside its glyphs


def test_a_failed_case_is_missing_and_no_more(tmp_path: Path):
    entries = [pairing("ours", 2, 0), pairing("ours", 50, 0), pairing("other", 2, 300)]
    assert draw({"machine": MACHINE, "pairing": entries}, tmp_path / "bench.png")
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_to_draw(tmp_path: Path):
    assert not draw({"machine": MACHINE, "pairing": [], "group": []}, tmp_path / "bench.png")
    assert list(tmp_path.iterdir()) == []
