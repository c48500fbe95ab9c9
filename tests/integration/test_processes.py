"""What processes import at their start, and what they say of themselves."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lambda_image import process
from lambda_image.data.predictions import Predictions

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("handler", "heavy"),
    [
        ("init", {"torch", "boto3", "arro3.io", "rich", "sklearn"}),
        ("summarize", {"torch", "boto3", "arro3.io", "rich", "sklearn"}),
        ("rank", {"torch", "boto3", "arro3.io", "rich", "sklearn", "asyncio", "lambda_image.comm", "numpy.ma"}),
    ],
)
def test_functions_start_without_heavy_imports(handler: str, heavy: set[str]):
    code = f"import sys, lambda_image.handlers.{handler}; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(answer.stdout.split())
    assert not loaded & heavy


def test_a_table_in_which_nothing_is_missing_is_read_without_masks(tmp_path: Path):
    """They take 10 ms to import, at rank 0 and in each report."""
    known, source = np.ones(2, np.float32), np.array(["a", "a"])
    table = Predictions(source, np.arange(2), np.ones((2, 5), np.float32), known, known, np.zeros(2, np.int32), {})
    (tmp_path / "table.parquet").write_bytes(table.to_parquet())
    code = f"""
import sys
from lambda_image.data.predictions import Predictions
print(len(Predictions.from_parquet(open({str(tmp_path / "table.parquet")!r}, "rb").read())), "numpy.ma" in sys.modules)
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert answer.stdout == "2 False\n"


def test_a_rank_that_waits_for_work_has_loaded_what_the_work_needs():
    code = """
import sys, threading, lambda_image.handlers.rank
for thread in threading.enumerate():
    if thread.name == "prepare":
        thread.join()
print(*sys.modules)
"""
    environ = {**os.environ, "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1", "AWS_REGION": "us-east-1"}
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environ)
    assert {"boto3", "lambda_image.comm.communicator", "arro3.io"} <= set(answer.stdout.split())


@pytest.mark.parametrize("module", ["scripts.bench.comm.rank", "scripts.bench.inference.worker"])
def test_a_process_that_is_measured_imports_nothing_that_only_the_command_needs(module: str):
    code = f"import sys, {module}; print(sorted({{'rich', 'matplotlib', 'torch', 'subprocess'}} & sys.modules.keys()))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"


def test_age_counts_from_the_start_of_the_process():
    code = "from lambda_image import process; import time; time.sleep(0.2); print(process.age_s())"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0.2 <= float(answer.stdout) < 60
    assert process.age_s() > 0.2


def test_peak_memory_is_what_the_process_touched_and_not_what_its_parent_had():
    block = np.ones(2**25)  # 256 MB; an interpreter that imports this module takes 12
    code = (
        "from lambda_image import process; print(process.peak_rss_mb());"
        "block = b'x' * 2**26; del block; print(process.peak_rss_mb())"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(float, answer.stdout.split())
    assert before < 128
    assert 60 < after - before < 128  # the block has 64 MB
    assert block.sum() > 0
