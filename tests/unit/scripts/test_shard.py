from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.data.partition import write_partition
from lambda_image.errors import UsageError
from scripts.shard import Shard, Stretch, parse_shard, stretches

SIZES = (3, 1, 6)  # rows of the files, beside an empty one


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("data")
    for number, rows in enumerate(SIZES):
        images, magnitudes = np.zeros((rows, 5, 32, 32)), np.zeros((rows, 5))
        write_partition(folder / f"{number}.safetensors", images, magnitudes)
    (folder / "empty.safetensors").touch()
    return [folder / name for name in ("0.safetensors", "empty.safetensors", "1.safetensors", "2.safetensors")]


@given(count=st.integers(1, 15))
def test_shares_are_equal_and_cover_every_row_once(files: list[Path], count: int):
    shares = [stretches(files, Shard(number, count)) for number in range(count)]
    sizes = [sum(stretch.stop - stretch.start for stretch in share) for share in shares]
    assert max(sizes) - min(sizes) <= 1
    rows = [(s.file, row) for share in shares for s in share for row in range(s.start, s.stop)]
    assert rows == [
        (file, row) for file, size in zip([files[0], *files[2:]], SIZES, strict=True) for row in range(size)
    ]


def test_the_only_share_is_the_dataset(files: list[Path]):
    assert stretches(files, Shard()) == [Stretch(files[0], 0, 3), Stretch(files[2], 0, 1), Stretch(files[3], 0, 6)]


def test_a_shard_is_read_as_srun_gives_it():
    assert parse_shard("3/16") == Shard(3, 16)
    assert str(parse_shard("3/16")) == "3/16"
    assert parse_shard("0/1").whole


@pytest.mark.parametrize("text", ["", "1", "4/4", "-1/4", "1/0", "a/b", "1/2/3", " 1/2", "٣/٤", "1/9999999"])
def test_any_other_shard_is_refused(text: str):
    with pytest.raises(UsageError, match=r"--shard is .*; allowed: I/N"):
        parse_shard(text)
