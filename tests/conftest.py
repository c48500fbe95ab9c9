import runpy
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lambda_image.model.engine_check import Sample


@pytest.fixture(scope="session")
def shared() -> Path:
    """The reference material beside the repository; a user's clone has none."""
    path = Path(__file__).resolve().parents[2] / "shared"
    if not path.is_dir():
        pytest.skip(f"the reference material is not here ({path})")
    return path


@pytest.fixture(scope="session")
def golden(shared: Path) -> dict[str, Any]:
    """`tensors()` and `inputs()` of the published test weights."""
    return runpy.run_path(str(shared / "golden" / "weights.py"))


@pytest.fixture(scope="session")
def golden_sample(golden: dict[str, Any]) -> "Sample":
    from lambda_image.model.engine_check import Sample  # here and below: most tests do without PyTorch

    images, magnitudes, _ = golden["inputs"]()
    return Sample(images, magnitudes.astype("float32"))


@pytest.fixture(scope="session")
def compiled_golden(golden: dict[str, Any], golden_sample: "Sample", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with the published test weights, compiled."""
    from lambda_image.model import checkpoint, engine_builder
    from lambda_image.model.architecture import ModelConfig

    if shutil.which("g++") is None:
        pytest.skip("the engine is compiled by g++")
    path = tmp_path_factory.mktemp("golden") / "golden.safetensors"
    checkpoint.save(path, dict(golden["tensors"]()), ModelConfig())
    # PyTorch's threads spin where cores are short. Random weights as these amplify rounding.
    engine_builder.build(path, [golden_sample], threads=1, say=print, tolerance=3e-5)
    return path
