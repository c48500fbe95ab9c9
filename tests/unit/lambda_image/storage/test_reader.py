import io

import numpy as np
import pytest
from botocore.exceptions import ReadTimeoutError

from lambda_image.data.partition import count_rows, open_partition, write_partition
from lambda_image.errors import InvalidEvent, StorageUnavailable
from lambda_image.storage import ObjectReader, ObjectStore, Requests
from lambda_image.storage.reader import RESUMES, SKIP_BYTES
from tests.unit.lambda_image.storage.prepared_answers import BUCKET

DATA = np.random.default_rng(1).bytes(300_000)


# --- reading by ranges


def test_reading_forward_is_one_request(store):
    store.put("data", DATA)
    store.requests = Requests()
    with store.open("data") as reader:
        assert reader.name == "s3://cosmic/data"
        assert reader.size == len(DATA)
        pieces = [reader.read(1000) for _ in range(100)]
        reader.seek(SKIP_BYTES // 2, io.SEEK_CUR)
        pieces.append(reader.read())
    assert b"".join(pieces) == DATA[:100_000] + DATA[100_000 + SKIP_BYTES // 2 :]
    assert store.requests == Requests(gets=1, bytes_in=len(DATA))


def test_a_seek_elsewhere_is_another_request(store):
    store.put("data", DATA)
    with store.open("data") as reader:
        store.requests = Requests()
        reader.seek(-10, io.SEEK_END)
        assert reader.read() == DATA[-10:]
        reader.seek(5)
        assert reader.read(10) == DATA[5:15]
        reader.seek(len(DATA) + 5)
        assert reader.read(10) == b""
        with pytest.raises(ValueError, match="before the start"):
            reader.seek(-1)
    assert store.requests == Requests(gets=2, bytes_in=20)


def test_an_empty_object_is_read(store):
    store.put("empty", b"")
    assert store.get("empty") == b""


def test_a_version_that_is_asked_for_is_read_or_nothing(store):
    etag = store.put("data", DATA)
    with store.open("data", etag) as reader:
        assert reader.read() == DATA
    store.put("data", DATA[::-1])
    with pytest.raises(InvalidEvent, match="s3://cosmic/data was replaced or removed"):
        store.open("data", etag)


def test_an_object_that_was_replaced_is_not_mixed(store):
    store.put("data", DATA)
    with store.open("data") as reader:
        reader.read(10)
        store.put("data", DATA[::-1])
        reader.seek(200_000)
        with pytest.raises(InvalidEvent, match="s3://cosmic/data was replaced or removed"):
            reader.read(10)


class BreakingBody(io.BytesIO):
    """Ends, or fails, after some bytes."""

    def __init__(self, data: bytes, error: Exception | None) -> None:
        super().__init__(data)
        self._error = error

    def readinto(self, buffer: memoryview) -> int:
        count = super().readinto(buffer)
        if count == 0 and self._error:
            raise self._error
        return count


class BreakingClient:
    """Every body gives `step` bytes and breaks."""

    def __init__(self, step: int, error: Exception | None = None) -> None:
        self._step, self._error = step, error

    def get_object(self, *, Range: str = "bytes=0-", **_arguments: object) -> object:  # noqa: N803
        start = int(Range.removeprefix("bytes=").removesuffix("-"))
        body = BreakingBody(DATA[start : start + self._step], self._error)
        return {"Body": body, "ContentLength": len(DATA) - start, "ETag": "e"}


@pytest.mark.parametrize("error", [None, ConnectionResetError(), ReadTimeoutError(endpoint_url="")])
def test_a_body_that_breaks_off_is_resumed(error):
    store = ObjectStore(BUCKET, client=BreakingClient(70_000, error))
    assert store.get("data") == DATA
    assert store.requests == Requests(gets=5, bytes_in=len(DATA))


def test_a_body_that_never_goes_on_is_an_error():
    store = ObjectStore(BUCKET, client=BreakingClient(0, ConnectionResetError()))
    with pytest.raises(StorageUnavailable, match="s3://cosmic/data: the body broke off at byte 0"):
        store.get("data")
    assert store.requests.gets == 1 + RESUMES


# --- partitions on it


@pytest.mark.parametrize("file_format", ["safetensors", "pt"])
def test_partitions_are_counted_and_read_by_rows(store, tmp_path, file_format):
    rng = np.random.default_rng(2)
    images, magnitudes = rng.random((40, 5, 32, 32), np.float32), rng.random((40, 5), np.float32)
    write_partition(tmp_path / "data", images, magnitudes, file_format=file_format)
    store.put("set", (tmp_path / "data").read_bytes())
    store.requests = Requests()
    with store.open("set") as reader:
        assert count_rows(reader) == 40
    assert store.requests.bytes_in < 2_000
    store.requests = Requests()
    with store.open("set") as reader:
        stream = open_partition(reader, rows=(10, 20))
        assert stream.name == "s3://cosmic/set"
        assert (stream.magnitudes == magnitudes[10:20]).all()
        assert (np.concatenate(list(stream.images(3))) == images[10:20]).all()
    assert store.requests.bytes_in < 11 * 20_480


def test_a_whole_safetensors_partition_is_one_request(store, tmp_path):
    images = np.ones((40, 5, 32, 32), np.float32)
    write_partition(tmp_path / "data", images, images[:, :, 0, 0], images[:, 0, 0, 0])
    store.put("whole", (tmp_path / "data").read_bytes())
    store.requests = Requests()
    with store.open("whole") as reader:
        assert sum(len(batch) for batch in open_partition(reader).images(16)) == 40
        assert isinstance(reader, ObjectReader)
    assert store.requests == Requests(gets=1, bytes_in=(tmp_path / "data").stat().st_size)
