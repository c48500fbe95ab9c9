import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["scripts.bench.comm.rank", "scripts.bench.inference.worker"])
def test_a_process_that_is_measured_imports_nothing_that_only_the_command_needs(module: str):
    code = f"import sys, {module}; print(sorted({{'rich', 'matplotlib', 'torch', 'subprocess'}} & sys.modules.keys()))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"
