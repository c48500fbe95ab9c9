"""What processes import at their start, and what they say of themselves."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lambda_image import process

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("handler", "heavy"),
    [
        ("init", {"torch", "boto3", "arro3.io", "rich", "sklearn"}),
        ("summarize", {"torch", "boto3", "arro3.io", "rich", "sklearn"}),
        ("rank", {"torch", "rich", "sklearn"}),
    ],
)
def test_functions_start_without_heavy_imports(handler: str, heavy: set[str]):
    code = f"import sys, lambda_image.handlers.{handler}; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(answer.stdout.split())
    assert not loaded & heavy


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
