import io
import random

import pytest

from lambda_image.storage import BlockReader, ObjectStore
from tests.unit.lambda_image.handlers.fake_s3 import FakeS3

CONTENT = random.Random(3).randbytes(1000)


def opened(group_bytes: float = 300, block_bytes: int = 100) -> tuple[BlockReader, ObjectStore]:
    s3 = FakeS3()
    s3.objects["k"] = CONTENT
    store = ObjectStore("b", client=s3)  # type: ignore[arg-type]
    return BlockReader(store.open("k"), group_bytes, block_bytes), store


@pytest.mark.parametrize("block_bytes", [1, 7, 100, 5000])
def test_it_reads_as_a_file_does(block_bytes: int):
    reader, _ = opened(block_bytes=block_bytes)
    file, dice = io.BytesIO(CONTENT), random.Random(4)
    with reader:
        for _ in range(200):
            place, size = dice.randrange(1100), dice.choice([-1, 0, 1, 50, 2000])
            for one in (reader, file):
                one.seek(place)
            assert reader.read(size) == file.read(size)
            assert reader.tell() == file.tell()
        reader.seek(990)
        buffer = bytearray(50)
        filled = io.BufferedReader(reader).readinto(buffer)
        assert bytes(buffer[:filled]) == CONTENT[990:]


def test_jumps_within_a_group_are_no_requests_and_no_more_than_a_group_is_in_memory():
    reader, store = opened(group_bytes=300, block_bytes=100)
    for start in (0, 300, 600):
        for jump in (250, 0, 120, 299, 10, 201):
            reader.seek(start + jump)
            reader.read(1)
            assert len(reader._blocks) <= 5
    assert store.requests.gets <= 1 + 3 * 2  # in each group, to its first block and to another


def test_going_forward_is_one_request():
    reader, store = opened()
    assert reader.read() == CONTENT
    assert store.requests.gets == 1
