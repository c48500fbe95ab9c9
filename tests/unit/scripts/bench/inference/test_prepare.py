"""What is prepared without a compiler and without ONNX. The rest is in tests/integration/test_bench_inference.py."""

from pathlib import Path

import pytest

from lambda_image.data.partition import read_partition
from scripts.bench.inference.contenders import GEMM, PUBLISHED
from scripts.bench.inference.prepare import prepared


def unheard(line: str) -> None:
    pytest.fail(f"nothing was to be made, and yet: {line}")


def test_galaxies_are_made_where_none_are_given_and_go_afterwards(tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    with prepared(model, None, 12, 2, [PUBLISHED], unheard) as ready:
        partition = Path(ready.spec.partition)
        assert len(read_partition(partition)) == 12
        assert (ready.names, ready.spec.threads, ready.spec.device) == ([PUBLISHED], 2, "cpu")
        assert ready.spec.model == str(model)  # weights are theirs as they are
    assert not partition.parent.exists()
    assert not list(tmp_path.iterdir())


def test_given_galaxies_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with prepared(Path("model.safetensors"), Path("my.pt"), 12, 1, [GEMM], unheard) as ready:
        assert ready.spec.partition == str(tmp_path / "my.pt")
        assert ready.spec.model == str(tmp_path / "model.safetensors")
