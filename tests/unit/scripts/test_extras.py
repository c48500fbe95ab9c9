from importlib import metadata

import pytest

from scripts.extras import remedy, require


def test_a_mistake_of_ours_is_not_hidden():
    assert remedy(ModuleNotFoundError("No module named 'scripts.nothing'", name="scripts.nothing")) is None
    assert remedy(ModuleNotFoundError("no name")) is None


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("rich", "local"),
        ("uvloop", "server"),
        ("astropy.io.fits", "formats"),
        ("pyarrow.parquet", "formats"),
        ("sklearn", "train"),
        ("onnxruntime.capi", "onnx"),
        ("mypy", "dev"),
    ],
)
def test_the_extra_is_read_from_the_projects_metadata(module: str, extra: str):
    words = remedy(ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert words is not None
    assert f'needs the extra "{extra}"' in words


@pytest.mark.parametrize("module", ["boto3", "botocore.config", "arro3.core", "torch"])
def test_what_is_required_always_needs_no_extra(module: str):
    words = remedy(ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert words is not None
    assert words.endswith("which is not installed: pip install -e .")


def test_without_metadata_the_readmes_extra_is_named():
    def requires(project: str) -> list[str]:
        raise metadata.PackageNotFoundError(project)

    words = remedy(ModuleNotFoundError("No module named 'numpy'", name="numpy"), requires)
    assert words is not None
    assert words.endswith("pip install -e '.[local]'")
    assert remedy(ModuleNotFoundError("No module named 'scripts.nothing'", name="scripts.nothing"), requires) is None


def test_what_is_required_is_looked_for_and_not_imported():
    require("json", "sqlite3")
    with pytest.raises(ModuleNotFoundError, match="No module named 'nothing_of_the_kind'") as missing:
        require("json", "nothing_of_the_kind")
    assert missing.value.name == "nothing_of_the_kind"
