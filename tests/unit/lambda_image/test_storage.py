"""Against a real S3 endpoint (moto's server on loopback); fakes only for what a healthy endpoint does not do."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import boto3
import numpy as np
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError
from moto.server import ThreadedMotoServer

from lambda_image.data.partition import count_rows, open_partition, write_partition
from lambda_image.errors import InvalidEvent, PartitionMissing, StorageUnavailable
from lambda_image.request_times import RequestTimes
from lambda_image.storage import RESUMES, SKIP_BYTES, ObjectReader, ObjectStore, Requests

BUCKET = "cosmic"
DATA = np.random.default_rng(1).bytes(300_000)


@pytest.fixture(scope="module")
def client() -> Iterator[object]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(s3={"addressing_style": "path"}, retries={"mode": "standard", "total_max_attempts": 2}),
    )
    client.create_bucket(Bucket=BUCKET)
    yield client
    server.stop()


@pytest.fixture
def store(client) -> ObjectStore:
    return ObjectStore(BUCKET, client=client)


# --- objects


def test_what_is_put_is_there(store):
    etag = store.put("a/b.bin", DATA, metadata={"run": "1"})
    assert store.get("a/b.bin") == DATA == store.find("a/b.bin")
    assert store.head("a/b.bin") == ("a/b.bin", len(DATA), etag, {"run": "1"})
    assert store.look("a/b.bin") == (DATA, etag, {"run": "1"})
    assert store.put_json("a/b.json", {"rank": 1})
    assert store.get_json("a/b.json") == {"rank": 1}


def test_what_is_not_there_is_named(client):
    store = ObjectStore(BUCKET, client=client)
    with pytest.raises(PartitionMissing, match=r"s3://cosmic/no\.pt does not exist: upload it"):
        store.get("no.pt")
    with pytest.raises(InvalidEvent, match=r"s3://cosmic/no\.json") as caught:
        ObjectStore(BUCKET, client=client, missing=InvalidEvent).get_json("no.json")
    assert caught.value.object == "s3://cosmic/no.json"
    assert store.find("no.pt") is None
    assert store.head("no.pt") is None
    assert list(store.list("no/")) == []


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.get("x"),
        lambda store: store.find("x"),
        lambda store: store.put("x", b""),
        lambda store: list(store.list("x")),
    ],
)
@pytest.mark.parametrize("bucket", ["nowhere", "Not A Bucket", ""])
def test_a_missing_bucket_is_the_inputs_fault(client, use, bucket):
    with pytest.raises(InvalidEvent, match=f"no bucket {bucket}:|s3://{bucket} or a key"):
        use(ObjectStore(bucket, client=client))


def test_all_pages_are_listed(client, store):
    for index in range(7):
        store.put(f"many/{index}", bytes(index))
    store.put("manyother", b"")

    class SmallPages:
        def list_objects_v2(self, **arguments: object) -> object:
            return client.list_objects_v2(MaxKeys=3, **arguments)

    paged = ObjectStore(BUCKET, client=SmallPages())
    assert [(found.key, found.size) for found in paged.list("many/")] == [(f"many/{i}", i) for i in range(7)]
    assert paged.requests.lists == 3


def test_a_folder_is_listed_without_what_lies_deeper(client, store):
    for key in ("deep/1", "deep/2", "deep/x/1", "deep/x/2", "deep/y/z/3", "deep/w"):
        store.put(key, b"12")

    class SmallPages:
        def list_objects_v2(self, **arguments: object) -> object:
            return client.list_objects_v2(MaxKeys=2, **arguments)

    paged = ObjectStore(BUCKET, client=SmallPages())
    found = {(item.key, item.size) for item in paged.list_folder("deep/")}
    assert found == {("deep/1", 2), ("deep/2", 2), ("deep/w", 2), ("deep/x/", 0), ("deep/y/", 0)}
    assert paged.requests.lists == 3
    assert "deep/" in {item.key for item in store.list_folder("")}


def test_json_that_is_none_is_named(store):
    store.put("broken.json", b"{")
    with pytest.raises(InvalidEvent, match=r"s3://cosmic/broken\.json is not JSON"):
        store.get_json("broken.json")
    with pytest.raises(ValueError, match="JSON"):
        store.put_json("nan.json", float("nan"))


# --- conditions


def test_only_the_first_of_two_writers_creates(store):
    assert store.put("once", b"first", if_absent=True) is not None
    assert store.put("once", b"second", if_absent=True) is None
    assert store.get("once") == b"first"


def test_only_what_was_read_is_replaced(store):
    etag = store.put("swap", b"1")
    changed = store.put("swap", b"2", if_match=etag)
    assert changed is not None
    assert store.put("swap", b"3", if_match=etag) is None
    assert store.put("absent", b"3", if_match=etag) is None
    assert store.get("swap") == b"2"


class Answers:
    """A client whose answers are prepared: error codes are raised, all else is returned."""

    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)

    def _answer(self, **_arguments: object) -> object:
        answer = self._answers.pop(0)
        if isinstance(answer, str):
            raise ClientError({"Error": {"Code": answer, "Message": ""}}, "operation")
        return answer

    put_object = get_object = head_object = list_objects_v2 = _answer


def test_a_conflict_is_tried_again():
    conflict = "ConditionalRequestConflict"
    assert ObjectStore(BUCKET, client=Answers(conflict, {"ETag": "e"})).put("k", b"", if_absent=True) == "e"
    assert ObjectStore(BUCKET, client=Answers(conflict, conflict, conflict)).put("k", b"", if_absent=True) is None


def test_denied_access_says_what_to_allow():
    with pytest.raises(InvalidEvent, match=r"s3://cosmic/secret was denied.*s3:ListBucket"):
        ObjectStore(BUCKET, client=Answers("AccessDenied")).get("secret")


def test_what_may_pass_is_said_to_be_transient():
    with pytest.raises(StorageUnavailable, match="s3://cosmic/k: S3 answered SlowDown"):
        ObjectStore(BUCKET, client=Answers("SlowDown")).get("k")


# --- times of requests


def test_every_request_is_timed_by_a_clock_that_is_never_set_whether_or_not_it_succeeds():
    ticks, moments = iter([10.0, 10.5, 20.0, 23.0, 30.0, 31.0]), iter([5000.0, 4000.0, 4007.0])
    requests = Requests(clock=lambda: next(ticks), now=lambda: next(moments))
    answers = Answers({"ETag": "e"}, "NoSuchKey", "SlowDown")
    store = ObjectStore(BUCKET, client=answers, requests=requests)  # type: ignore[arg-type]
    store.put("k", b"")
    assert store.find("k") is None
    with pytest.raises(StorageUnavailable):
        store.get("k")
    assert requests.times == RequestTimes(3, 4.5, 0.5, 3.0, 4000.0, 5000.5)


def test_there_are_as_many_times_as_requests_from_any_number_of_threads(client):
    store = ObjectStore(BUCKET, client=client)
    with ThreadPoolExecutor(8) as threads:
        for index in range(40):
            threads.submit(store.put, f"timed/{index}", b"")
    list(store.list("timed/"))
    store.head("timed/0")
    store.get("timed/0")
    counted = store.requests
    assert counted.times.count == counted.puts + counted.lists + counted.heads + counted.gets == 43
    assert 0 < counted.times.shortest_s <= counted.times.longest_s <= counted.times.total_s


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


def test_requests_are_counted_together(client):
    requests = Requests()
    data, results = (ObjectStore(BUCKET, client=client, requests=requests) for _ in range(2))
    data.put("counted", b"12345")
    results.head("counted")
    results.get("counted")
    list(data.list("counted"))
    assert requests == Requests(puts=1, gets=1, lists=1, heads=1, bytes_in=5)
