import tempfile

import pytest

from lambda_image.errors import InvalidEvent, PartitionMissing
from lambda_image.storage import ObjectStore
from tests.unit.lambda_image.storage.prepared_answers import BUCKET, PreparedAnswers


def test_what_is_put_is_there(store):
    data = bytes(range(256))
    etag = store.put("a/b.bin", data, metadata={"run": "1"})
    assert store.get("a/b.bin") == data == store.find("a/b.bin")
    assert store.head("a/b.bin") == ("a/b.bin", len(data), etag, {"run": "1"})
    assert store.look("a/b.bin") == (data, etag, {"run": "1"})
    assert store.put_json("a/b.json", {"rank": 1})
    assert store.get_json("a/b.json") == {"rank": 1}


def test_a_file_is_put_from_its_beginning(store):
    with tempfile.TemporaryFile() as file:
        file.write(b"12345")
        store.put("file.bin", file)
        assert store.put("file.bin", file, if_absent=True) is None
    assert store.get("file.bin") == b"12345"


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
    assert 3 <= paged.requests.lists < 60
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


def test_a_conflict_is_tried_again():
    conflict = "ConditionalRequestConflict"
    assert ObjectStore(BUCKET, client=PreparedAnswers(conflict, {"ETag": "e"})).put("k", b"", if_absent=True) == "e"
    assert (
        ObjectStore(BUCKET, client=PreparedAnswers(conflict, conflict, conflict)).put("k", b"", if_absent=True) is None
    )
