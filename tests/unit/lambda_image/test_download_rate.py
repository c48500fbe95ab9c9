import http.server
import io
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import IncompleteReadError
from botocore.response import StreamingBody

from lambda_image.download_rate import MIN_RATE, WINDOW_S, RateFloor, StalledError, make_prompt
from lambda_image.errors import StorageUnavailable
from lambda_image.storage import ObjectStore, Requests
from lambda_image.storage.reader import RESUMES

DATA = bytes(range(256)) * 40
PATIENCE_S = 30.0


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def read(floor: RateFloor, clock: Clock, count: int, seconds: float) -> bool:
    floor.begin()
    clock.now += seconds
    return floor.end(count)


def test_what_comes_at_the_least_rate_goes_on():
    clock = Clock()
    floor = RateFloor(clock)
    assert [read(floor, clock, MIN_RATE, 1.0) for _ in range(20)].count(True) == 20 / WINDOW_S


def test_what_comes_more_slowly_is_told_with_its_rate():
    clock = Clock()
    floor = RateFloor(clock)
    for _ in range(9):
        assert not read(floor, clock, 1, 1.0)
    with pytest.raises(StalledError, match="1 B/s over 10 s, where at least 16,384 B/s are needed"):
        read(floor, clock, 1, 1.0)
    assert not read(floor, clock, 1, 1.0)  # a new window


def test_the_time_between_two_reads_does_not_count():
    clock = Clock()
    floor = RateFloor(clock)
    for _ in range(5):
        read(floor, clock, 100_000, 0.5)
        clock.now += 1000.0


class Trickling(io.RawIOBase):
    """A body of which a byte comes each second, by a clock that jumps."""

    def __init__(self, data: bytes, clock: Clock) -> None:
        self._data, self._clock = io.BytesIO(data), clock

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._clock.now += 1.0
        return self._data.readinto(buffer[:1])


class TricklingClient:
    """The first `slow` bodies trickle, and those after them come at once."""

    def __init__(self, slow: int, clock: Clock) -> None:
        self.slow, self._clock = slow, clock

    def get_object(self, *, Range: str = "bytes=0-", **_arguments: object) -> object:  # noqa: N803
        rest = DATA[int(Range.removeprefix("bytes=").removesuffix("-")) :]
        self.slow -= 1
        body = Trickling(rest, self._clock) if self.slow >= 0 else io.BytesIO(rest)
        return {"Body": body, "ContentLength": len(rest), "ETag": "e"}


def test_a_stalled_download_is_given_up_and_tried_anew_from_where_it_was():
    clock = Clock()
    store = ObjectStore("b", client=TricklingClient(2, clock), requests=Requests(clock=clock))  # type: ignore[arg-type]
    assert store.get("data") == DATA
    assert store.requests.gets == 3
    assert clock.now < 3 * WINDOW_S


def test_one_that_stalls_again_and_again_ends_with_its_object_and_rate():
    clock = Clock()
    client = TricklingClient(1000, clock)
    store = ObjectStore("b", client=client, requests=Requests(clock=clock))  # type: ignore[arg-type]
    with pytest.raises(StorageUnavailable, match=r"s3://b/data: the body came too slowly 4 times \(1 B/s over 10 s"):
        store.get("data")
    assert store.requests.gets == 1 + RESUMES
    assert clock.now <= (1 + RESUMES) * (WINDOW_S + 1)


class SlowServer(http.server.BaseHTTPRequestHandler):
    """Sends half of an object, and the rest when it is told to."""

    protocol_version = "HTTP/1.1"
    more = threading.Event()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.send_header("ETag", '"e"')
        self.end_headers()
        self.wfile.write(DATA[:100])
        self.more.wait(PATIENCE_S)
        self.wfile.write(DATA[100:])

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[str]:
    SlowServer.more.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), SlowServer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        SlowServer.more.set()
        server.shutdown()


def test_a_real_body_gives_what_has_come_without_waiting_for_more(server: str):
    client = boto3.client(
        "s3",
        endpoint_url=server,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(s3={"addressing_style": "path"}),
    )
    body = client.get_object(Bucket="b", Key="k")["Body"]
    make_prompt(body)
    buffer = bytearray(len(DATA))
    assert body.readinto(buffer) == 100  # the server still waits
    SlowServer.more.set()
    count = 100
    while count < len(DATA):
        count += body.readinto(memoryview(buffer)[count:])
    assert buffer == DATA


def test_the_length_is_checked_as_before():
    body = StreamingBody(io.BytesIO(DATA[:-1]), len(DATA))
    make_prompt(body)
    assert body.readinto(bytearray(len(DATA))) == len(DATA) - 1
    with pytest.raises(IncompleteReadError):
        body.readinto(bytearray(1))


def test_a_body_of_another_make_is_left_alone():
    other = SimpleNamespace(readinto=None)
    make_prompt(other)
    assert vars(other) == {"readinto": None}
