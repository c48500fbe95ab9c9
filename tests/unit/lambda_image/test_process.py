import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lambda_image import process


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


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({"cpu.max": "58000 100000\n"}, 1),
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "100000000 100000\n"}, None),
        ({"cpu.max": "nonsense"}, None),
        ({}, None),
    ],
)
def test_a_containers_quota_counts(tmp_path: Path, files: dict[str, str], cpus: int | None):
    unlimited = process.usable_cpus(tmp_path)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert process.usable_cpus(tmp_path) == (cpus or unlimited)
