"""The notebook, run from its first cell to its last by a real kernel, beside the command that it stands for."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from lambda_image.data.predictions import Predictions

NOTEBOOK = Path(__file__).parents[2] / "docs/quickstart.ipynb"


def test_the_notebook_is_kept_without_outputs():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert all(not cell["outputs"] for cell in cells if cell["cell_type"] == "code")


@pytest.mark.timeout(240)
def test_the_notebook_runs_and_predicts_as_the_command(tmp_path: Path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    told = nbformat.v4.new_code_cell("print('predicted', redshifts.tolist())")
    notebook.cells.append(told)
    NotebookClient(notebook, timeout=200, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    text = "".join(output.text for output in outputs if output.output_type == "stream")
    assert re.search(r"R² 0\.8\d+, MAE 0\.01\d+", text)
    redshifts = json.loads(text.rpartition("predicted ")[2])
    sample = [sys.executable, "-m", "scripts", "sample", "g.safetensors", "--count", "1000", "--seed", "1"]
    subprocess.run(sample, cwd=tmp_path, check=True)
    infer = [sys.executable, "-m", "scripts", "infer", "g.safetensors", "--out", "p.parquet"]
    subprocess.run(infer, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    inferred = Predictions.from_parquet((tmp_path / "p.parquet").read_bytes()).redshift
    assert np.abs(inferred - np.array(redshifts, np.float32)).max() <= 1e-6
