from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The reference material beside the repository; a user's clone has none."""
    path = Path(__file__).resolve().parents[2] / "shared"
    if not path.is_dir():
        pytest.skip(f"the reference material is not here ({path})")
    return path
