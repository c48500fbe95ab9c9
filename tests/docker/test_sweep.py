"""Sweeps over the memory of ranks, in containers with these limits."""

from io import StringIO
from pathlib import Path

import pytest

from scripts.runs.run_progress import RunProgress
from scripts.sweep.configuration import Configuration
from scripts.sweep.containers import DockerEngine, find_engine, in_containers
from scripts.sweep.folder import FAILED, SUCCEEDED, Measured

pytestmark = pytest.mark.usefixtures("images")


def measured(folder: Path, *memory_mb: int) -> list[Measured]:
    engine = find_engine()
    assert isinstance(engine, DockerEngine), engine
    with in_containers(engine, RunProgress(StringIO(), []), folder) as measurer:
        return [measurer.run(Configuration(1, 16, 40, memory_mb=size)) for size in memory_mb]


def test_ranks_have_the_memory_of_each_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAMBDA_TARGET", "slim")
    runs = measured(tmp_path, 1769, 512)
    assert [run.status for run in runs] == [SUCCEEDED] * 2, [run.reason for run in runs]
    assert [run.records[0]["memory_size_mb"] for run in runs] == [1769, 512]
    assert [run.records[0]["samples"] for run in runs] == [40, 40]


def test_pytorch_runs_out_of_128_mb_and_the_next_size_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAMBDA_TARGET", "full")
    monkeypatch.setenv("INFERENCE_ENGINE", "eager")
    small, large = measured(tmp_path, 128, 2048)
    assert small.status == FAILED
    assert str(small.reason).startswith("out of memory: ")
    assert large.status == SUCCEEDED, large.reason
