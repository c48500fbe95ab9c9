"""What can be said of the compiled engine without a compiler; tests/integration/test_native_engine.py has the rest."""

from pathlib import Path

import pytest

from lambda_image.errors import CheckpointError
from lambda_image.model.engine_files import LIBRARY, weights_of
from lambda_image.model.fast import Fast


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"no library"])
def test_a_library_that_is_none_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / LIBRARY).write_bytes(content)
    weights_of(tmp_path, "float32").write_bytes(bytes(4))
    with pytest.raises(CheckpointError, match=r"cannot be loaded: .*; make it again"):
        Fast(tmp_path, 1)


def test_a_folder_without_a_library_is_refused(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"cannot be loaded: .*; make it again"):
        Fast(tmp_path, 1)
