from concurrent.futures import ThreadPoolExecutor

import pytest

from lambda_image.errors import InvalidEvent, StorageUnavailable
from lambda_image.request_times import RequestTimes
from lambda_image.storage import ObjectStore, Requests
from tests.unit.lambda_image.storage.prepared_answers import BUCKET, PreparedAnswers


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


def test_denied_access_says_what_to_allow():
    with pytest.raises(InvalidEvent, match=r"s3://cosmic/secret was denied.*s3:ListBucket"):
        ObjectStore(BUCKET, client=PreparedAnswers("AccessDenied")).get("secret")


def test_what_may_pass_is_said_to_be_transient():
    with pytest.raises(StorageUnavailable, match="s3://cosmic/k: S3 answered SlowDown"):
        ObjectStore(BUCKET, client=PreparedAnswers("SlowDown")).get("k")


# --- times of requests


def test_every_request_is_timed_by_a_clock_that_is_never_set_whether_or_not_it_succeeds():
    ticks, moments = iter([10.0, 10.5, 20.0, 23.0, 30.0, 31.0]), iter([5000.0, 4000.0, 4007.0])
    requests = Requests(clock=lambda: next(ticks), now=lambda: next(moments))
    answers = PreparedAnswers({"ETag": "e"}, "NoSuchKey", "SlowDown")
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


def test_requests_are_counted_together(client):
    requests = Requests()
    data, results = (ObjectStore(BUCKET, client=client, requests=requests) for _ in range(2))
    data.put("counted", b"12345")
    results.head("counted")
    results.get("counted")
    list(data.list("counted"))
    assert requests == Requests(puts=1, gets=1, lists=1, heads=1, bytes_in=5)
