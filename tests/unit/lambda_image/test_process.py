import subprocess
import sys

import numpy as np

from lambda_image import process


def test_age_counts_from_the_start_of_the_process():
    code = "from lambda_image import process; import time; time.sleep(0.2); print(process.age_s())"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0.2 <= float(answer.stdout) < 60
    assert process.age_s() > 0.2


def test_peak_memory_grows_with_what_is_touched():
    before = process.peak_rss_mb()
    block = np.ones(int(before + 64) * 2**17)  # 8 bytes each: certainly more than was ever resident
    assert process.peak_rss_mb() >= before + 32
    assert block.sum() > 0
