from pathlib import Path

import numpy as np

from lambda_image.data.dataset import read_dataset
from scripts.sweep import data
from scripts.sweep.configuration import Configuration


def test_files_hold_all_galaxies_and_are_the_same_each_time(tmp_path: Path):
    configuration = Configuration(1, 8, 25, 0.2)  # 10 galaxies a file
    files = data.make(configuration, tmp_path / "a")
    again = data.make(configuration, tmp_path / "b")
    assert [file.name for file in files] == ["1.safetensors", "2.safetensors"]
    assert sum(len(read_dataset(file).redshifts) for file in files) == 25
    assert [file.read_bytes() for file in files] == [file.read_bytes() for file in again]
    assert sum(file.stat().st_size for file in files) - data.bytes_of(configuration) < 4000


def test_copies_share_their_bytes(tmp_path: Path):
    files = data.make(Configuration(1, 8, 50, 0.2, copies=3), tmp_path / "a")
    assert [file.name for file in files] == [f"{number}.safetensors" for number in range(1, 6)]
    assert len({file.stat().st_ino for file in files}) == 2
    first, last = (np.asarray(read_dataset(files[index]).redshifts) for index in (0, 4))
    assert not np.array_equal(first, last)
