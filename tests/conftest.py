import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import session_header
from tests.data import reference_model as reference
from tests.data.reference_model import ReferenceModel

# How long a busy machine takes is no property of what is tested. A failure can be repeated by its blob. `make ci` plays
# properties once more, and longer.
settings.register_profile(
    "cosmicai", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True, max_examples=40
)
settings.register_profile("thorough", settings.get_profile("cosmicai"), max_examples=200)
settings.load_profile("cosmicai")


def pytest_report_header(config: pytest.Config) -> list[str]:
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return list(session_header.lines()) if whole else []


@pytest.fixture(scope="session")
def shared() -> Path:
    """The reference material beside the repository; a user's clone has none."""
    if not session_header.SHARED.is_dir():
        pytest.skip(f"the reference material is not here ({session_header.SHARED})")
    return session_header.SHARED


@pytest.fixture(scope="session")
def seeded_model() -> ReferenceModel:
    """The reference model that is kept in tests/data."""
    return reference.seeded()


@pytest.fixture(scope="session", params=["seeded", "published"])
def reference_model(request: pytest.FixtureRequest) -> ReferenceModel:
    """The reference model that is kept in tests/data, and the published one where it is here."""
    if request.param == "published":
        return reference.published(request.getfixturevalue("shared") / "golden")
    model: ReferenceModel = request.getfixturevalue("seeded_model")
    return model


@pytest.fixture(scope="session")
def compiled_checkpoint(seeded_model: ReferenceModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with the weights of tests/data, compiled."""
    from lambda_image.model import checkpoint, engine_builder  # most tests do without PyTorch
    from lambda_image.model.architecture import ModelConfig
    from lambda_image.model.engine_check import Sample

    if shutil.which("g++") is None:
        pytest.skip("the engine is compiled by g++")
    path = tmp_path_factory.mktemp("compiled") / "seeded.safetensors"
    checkpoint.save(path, seeded_model.tensors, ModelConfig())
    sample = Sample(seeded_model.images, seeded_model.magnitudes)
    engine_builder.build(path, [sample], threads=1, say=print)  # PyTorch's threads spin where cores are short
    return path
