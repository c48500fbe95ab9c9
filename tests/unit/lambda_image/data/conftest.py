from pathlib import Path

import pytest

from lambda_image.data.partition import write_partition
from tests.unit.lambda_image.data.galaxy_files import FORMATS, GALAXIES


@pytest.fixture(scope="session")
def written(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("written")
    for file_format in FORMATS:
        write_partition(folder / f"data.{file_format}", *GALAXIES, file_format=file_format)
    return {file_format: folder / f"data.{file_format}" for file_format in FORMATS}
