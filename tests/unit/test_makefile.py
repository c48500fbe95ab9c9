import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.test_layout import ROOT


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not here")
def test_clean_removes_what_was_built_and_no_results(tmp_path: Path):
    built = [".venv/bin/python", "build/lib", "cosmicai.egg-info/x", "lambda_image/model/redshift.compiled/engine.json"]
    kept = ["out/demo/summary.json", "models/mine.pt", "wheels/torch.whl", "lambda_image/model/redshift.safetensors"]
    for name in [*built, *kept]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    subprocess.run(["make", "--silent", "clean"], cwd=tmp_path, check=True)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*kept, "Makefile", "pyproject.toml"}
