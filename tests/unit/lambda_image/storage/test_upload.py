"""Uploads to a real S3 endpoint, in parts of its least size."""

import threading

import pytest

from lambda_image.errors import StorageUnavailable
from lambda_image.storage import ObjectStore, ObjectUpload
from tests.unit.lambda_image.storage.prepared_answers import BUCKET

PART = 5 << 20


def upload(store: ObjectStore, key: str) -> ObjectUpload:
    return ObjectUpload(store, key, content_type="text/plain", metadata={"run": "1"}, part_bytes=PART)


@pytest.mark.parametrize("size", [0, 3, PART - 1, PART, 2 * PART + 7])
def test_what_is_written_is_there(client, size: int):
    store = ObjectStore(BUCKET, client=client)
    content = bytes(range(256)) * (size // 256 + 1)
    with upload(store, f"whole/{size}") as one:
        for start in range(0, size, 1 << 20):
            assert one.write(content[start : min(size, start + (1 << 20))]) > 0
        etag = one.finish(if_absent=True)
    assert store.look(f"whole/{size}") == (content[:size], etag, {"run": "1"})
    assert store.requests.puts == (1 if size < PART else size // PART + 3 - (size % PART == 0))


@pytest.mark.parametrize("size", [3, PART + 3])
def test_a_condition_that_does_not_hold_leaves_what_is_there_and_another_may_follow(store, size: int):
    key = f"taken/{size}"
    there = store.put(key, b"earlier")
    with upload(store, key) as one:
        one.write(bytes(size))
        assert one.finish(if_absent=True) is None
        assert store.get(key) == b"earlier"
        assert one.finish(if_match=there)
    assert store.get(key) == bytes(size)


def fill(one: ObjectUpload, size: int, error: Exception | None = None) -> None:
    with one:
        assert one.write(bytes(size)) == size
        if error is not None:
            raise error
        one.finish()


class Failing:
    """A client whose parts are refused."""

    def __init__(self, client) -> None:
        self.client = client
        self.aborted = 0

    def __getattr__(self, name: str):
        return getattr(self.client, name)

    def upload_part(self, **given: object) -> object:
        return self.client.upload_part(**{**given, "UploadId": "none"})

    def abort_multipart_upload(self, **given: object) -> object:
        self.aborted += 1
        return self.client.abort_multipart_upload(**given)


def test_an_upload_that_fails_raises_only_in_the_end_and_leaves_nothing(client):
    failing = Failing(client)
    store = ObjectStore(BUCKET, client=failing)
    with pytest.raises(StorageUnavailable):
        fill(upload(store, "failed"), 3 * PART)
    assert failing.aborted == 1
    assert store.head("failed") is None
    assert "Uploads" not in client.list_multipart_uploads(Bucket=BUCKET, Prefix="failed")


class Watched:
    """A client that tells what is done to an upload, and holds its first part back until that may end."""

    def __init__(self, client) -> None:
        self.client = client
        self.done: list[str] = []
        self.first_may_end = threading.Event()
        self.sending = self.most_sending = 0

    def __getattr__(self, name: str):
        return getattr(self.client, name)

    def upload_part(self, **given: object) -> object:
        self.sending += 1
        self.most_sending = max(self.most_sending, self.sending)
        assert self.first_may_end.wait(60)
        answer = self.client.upload_part(**given)
        self.done.append("part")
        self.sending -= 1
        return answer

    def abort_multipart_upload(self, **given: object) -> object:
        self.done.append("abort")
        return self.client.abort_multipart_upload(**given)


def test_what_follows_is_written_while_a_part_is_on_its_way_and_no_two_parts_are(client):
    watched = Watched(client)
    store, content = ObjectStore(BUCKET, client=watched), bytes(range(256)) * (4 * PART // 256)
    with upload(store, "ahead") as one:
        one.write(content[: PART + 1])
        watched.first_may_end.set()
        one.write(content[PART + 1 :])
        assert one.finish()
    assert store.get("ahead") == content
    assert watched.most_sending == 1


def test_a_part_that_is_on_its_way_has_come_before_an_upload_is_dropped(client):
    watched = Watched(client)
    one = upload(ObjectStore(BUCKET, client=watched), "late")
    one.write(bytes(PART))
    watched.first_may_end.set()
    one.drop()
    assert watched.done == ["part", "abort"]
    assert "Uploads" not in client.list_multipart_uploads(Bucket=BUCKET, Prefix="late")


def test_an_error_elsewhere_drops_the_parts(client, store):
    with pytest.raises(KeyError):
        fill(upload(store, "dropped"), PART, KeyError())
    assert "Uploads" not in client.list_multipart_uploads(Bucket=BUCKET, Prefix="dropped")


def test_it_is_no_file_to_be_read(store):
    with pytest.raises(OSError, match="cannot be read again"):
        upload(store, "x").seek(0)
