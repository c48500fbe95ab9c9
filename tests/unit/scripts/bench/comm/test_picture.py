from pathlib import Path
from typing import Any

import pytest

from scripts.bench.comm.picture import draw

pytest.importorskip("matplotlib")

MACHINE = {"cpu": "a processor", "cores": 2}


def entry(operation: str, size: int, world_size: int, contender: str, kind: str) -> dict[str, Any]:
    labels = {"operation": operation, "size": size, "world_size": world_size, "contender": contender, "kind": kind}
    return {**labels, "figures": {"ms": {"median": 2.0, "low": 1.0, "high": 4.0}}}


def test_a_panel_for_each_case_and_one_legend(tmp_path: Path):
    kinds = {"ours": "ours", "raw, poll": "raw", "Gloo": "gloo"}
    cases = [("barrier", 0), *(("gather", size) for size in (1_000, 1_000_000, 20_000_000))]
    entries = [entry(*case, world, name, kind) for case in cases for world in (2, 8) for name, kind in kinds.items()]
    file = tmp_path / "bench.svg"
    assert draw({"machine": MACHINE, "comm": entries}, file)
    drawn = file.read_text()
    for words in ("a processor", "barrier", "gather of 20 MB", "raw, poll"):
        assert words in drawn  # as a comment beside its glyphs


def test_a_contender_that_failed_is_missing_and_no_more(tmp_path: Path):
    entries = [entry("barrier", 0, 2, "ours", "ours"), entry("gather", 1_000, 2, "raw, poll", "raw")]
    assert draw({"machine": MACHINE, "comm": entries}, tmp_path / "bench.png")
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_to_draw(tmp_path: Path):
    assert not draw({"machine": MACHINE, "comm": []}, tmp_path / "bench.png")
