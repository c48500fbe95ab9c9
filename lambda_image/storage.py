"""Objects on S3: the only place in the image that knows boto3.

A store is one bucket. Only its owner knows what a missing object means, and gives the store the class of the error
for one: PartitionMissing for data, InvalidEvent for what an execution was told to find. botocore retries errors that
may pass (throttling, lost connections). Those that do not pass become StorageUnavailable.

Every method that asks S3 raises InvalidEvent where the bucket is missing, access is denied or a name is none, and
StorageUnavailable where S3 does not answer, or only that it is too busy.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lambda_image.data.byte_source import SeekableReader
from lambda_image.errors import InvalidEvent, PartitionMissing, StorageUnavailable
from lambda_image.request_times import RequestTimes

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_TIMEOUT_S = 5.0  # within a region connections take milliseconds
READ_TIMEOUT_S = 60.0  # between two pieces of a body, not for all of it
ATTEMPTS = 4  # of a request: three retries in botocore's standard mode, which backs off with jitter
CONNECTIONS = 16  # kept open: a rank has one download and a few small requests in flight
RESUMES = 3  # of one object's body without progress in between; a body that stops is continued where it stopped
CONFLICT_ATTEMPTS = 3  # of a conditional write that met another one in flight (409); S3 asks to repeat it
SKIP_BYTES = 1 << 16  # a short way forward is read and dropped: cheaper than a new request

Outcome = Literal["absent", "changed", "conflict"]
REFUSALS: dict[str, Outcome] = {  # by S3's error codes; bare numbers where an answer has no body (HEAD)
    "NoSuchKey": "absent",
    "404": "absent",
    "PreconditionFailed": "changed",
    "412": "changed",
    "ConditionalRequestConflict": "conflict",
}
DENIED = {"AccessDenied", "AllAccessDisabled", "403"}


class ObjectInfo(NamedTuple):
    """An object as S3 lists it."""

    key: str
    size: int  # bytes
    etag: str


@dataclass
class Requests:
    """Counts what was asked of S3, for the cost, and times it. Lists are billed as puts, heads as gets."""

    puts: int = 0
    gets: int = 0
    lists: int = 0
    heads: int = 0
    bytes_in: int = 0
    times: RequestTimes = field(default_factory=RequestTimes, compare=False)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False, compare=False)  # seconds
    now: Callable[[], float] = field(default=time.time, repr=False, compare=False)  # seconds since the epoch
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def count(self, **counts: int) -> None:
        """Adds to the counts of these names."""
        with self._lock:  # a rank downloads in one thread and writes in another
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Within it one request is sent and answered, or fails; its time counts either way."""
        sent_at, started = self.now(), self.clock()
        try:
            yield
        finally:
            duration = self.clock() - started
            with self._lock:
                self.times.add(sent_at, duration)


_client_lock = threading.Lock()
_client: "S3Client | None" = None


def s3_client(environ: Mapping[str, str] = os.environ) -> "S3Client":
    """Returns the one client of the process.

    It is made when it is first wanted, since boto3 takes 0.2 s to import and to read its models.

    Args:
        environ: the environment variables of the process, of which the first call counts.
    """
    global _client
    with _client_lock:
        if _client is None:
            import boto3
            from botocore.config import Config

            local = "AWS_ENDPOINT_URL" in environ or "AWS_ENDPOINT_URL_S3" in environ
            _client = boto3.client(
                "s3",
                config=Config(
                    connect_timeout=CONNECT_TIMEOUT_S,
                    read_timeout=READ_TIMEOUT_S,
                    retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                    max_pool_connections=CONNECTIONS,
                    # Buckets as host names need DNS, which a local endpoint does not have.
                    s3={"addressing_style": "path" if local else "auto"},
                ),
            )
        return _client


class ObjectStore:
    """Reads and writes the objects of one bucket."""

    def __init__(
        self,
        bucket: str,
        *,
        missing: type[PartitionMissing | InvalidEvent] = PartitionMissing,
        client: "S3Client | None" = None,
        requests: Requests | None = None,
    ) -> None:
        """Makes a store without asking S3.

        Args:
            bucket: its name.
            missing: the error for an object that is not there.
            client: a boto3 client; without one, that of the process.
            requests: where requests are counted, which several stores may share.
        """
        self.bucket = bucket
        self.requests = requests if requests is not None else Requests()
        self._missing = missing
        self._given_client = client

    @property
    def _client(self) -> "S3Client":
        return self._given_client or s3_client()

    def url(self, key: str) -> str:
        """Names an object as people know it, for messages."""
        return f"s3://{self.bucket}/{key}"

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Lists the objects under a prefix, page by page, in the order of S3 (by UTF-8 bytes).

        Yields:
            One object after another; none where the prefix has none.
        """
        for page in self._pages(prefix):
            for item in page.get("Contents", ()):
                yield ObjectInfo(item["Key"], item["Size"], item["ETag"])

    def list_folder(self, prefix: str) -> Iterator[ObjectInfo]:
        """Lists what lies directly under a prefix. Objects in folders there are not asked for.

        Args:
            prefix: what ends in a slash, or is empty for the root of the bucket.

        Yields:
            Objects, and folders with keys that end in a slash, of no size and no ETag, in no order.
        """
        for page in self._pages(prefix, Delimiter="/"):
            for item in page.get("Contents", ()):
                yield ObjectInfo(item["Key"], item["Size"], item["ETag"])
            for folder in page.get("CommonPrefixes", ()):
                yield ObjectInfo(folder["Prefix"], 0, "")

    def _pages(self, prefix: str, **parameters: str) -> Iterator[Any]:
        token: dict[str, str] = {}
        while True:
            self.requests.count(lists=1)
            page = self.ask("list_objects_v2", prefix, Prefix=prefix, **parameters, **token)
            yield page
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def head(self, key: str) -> ObjectInfo | None:
        """Looks up an object without reading it; None where it is not there."""
        self.requests.count(heads=1)
        try:
            answer = self.ask("head_object", key, Key=key)
        except RefusedError:
            return None
        return ObjectInfo(key, answer["ContentLength"], answer["ETag"])

    def open(self, key: str, etag: str | None = None) -> "ObjectReader":
        """Opens an object for reading.

        Args:
            key: its key.
            etag: the version that is wanted; None for the present one.

        Returns:
            A seekable binary file object. Reads that go forward are one request.

        Raises:
            InvalidEvent: the object has another version than `etag`.
            RunError: there is no such object; the class is the store's own.
        """
        try:
            return ObjectReader(self, key, etag)
        except RefusedError as error:
            url = self.url(key)
            raise self._missing(f"{url} does not exist: upload it, or correct the input", object=url) from error

    def get(self, key: str) -> bytes:
        """Reads a whole object.

        Raises:
            RunError: there is no such object; the class is the store's own.
        """
        with self.open(key) as reader:
            return reader.read()

    def find(self, key: str) -> bytes | None:
        """Reads a whole object; None where there is no such object."""
        try:
            reader = ObjectReader(self, key)
        except RefusedError:
            return None
        with reader:
            return reader.read()

    def put(
        self,
        key: str,
        data: bytes,
        *,
        content_type: str = "application/octet-stream",
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str | None:
        """Writes an object.

        Args:
            key: its key.
            data: its content.
            content_type: its media type.
            if_absent: write only where there is no such object.
            if_match: write only where the object has this ETag.

        Returns:
            The object's new ETag, or None where the condition did not hold. A retried request may meet its own first
            try: None then means only that something is there, and reading it shows what.
        """
        condition = {"IfNoneMatch": "*"} if if_absent else {"IfMatch": if_match} if if_match is not None else {}
        for _ in range(CONFLICT_ATTEMPTS):
            self.requests.count(puts=1)
            try:
                answer = self.ask("put_object", key, Key=key, Body=data, ContentType=content_type, **condition)
            except RefusedError as refused:
                if refused.outcome != "conflict":
                    return None
            else:
                return str(answer["ETag"])
        return None

    def get_json(self, key: str) -> Any:
        """Reads an object that is JSON.

        Raises:
            InvalidEvent: it is not JSON.
            RunError: there is no such object; the class is the store's own.
        """
        data = self.get(key)
        try:
            return json.loads(data)
        except ValueError as error:
            raise InvalidEvent(f"{self.url(key)} is not JSON: {error}") from error

    def put_json(self, key: str, value: object, *, if_absent: bool = False, if_match: str | None = None) -> str | None:
        """Writes an object as JSON, by the conditions of `put`.

        Returns:
            What `put` returns.

        Raises:
            ValueError: a number in `value` is not finite.
        """
        data = json.dumps(value, allow_nan=False).encode()
        return self.put(key, data, content_type="application/json", if_absent=if_absent, if_match=if_match)

    def ask(self, operation: str, key: str, **parameters: object) -> Any:
        """Sends one request, whose time with all its retries is taken.

        Args:
            operation: the client's method.
            key: the object or prefix that it is about, for messages.
            parameters: of the method, beside the bucket.

        Raises:
            RefusedError: the object is absent, has changed, or is being written at this moment.
            InvalidEvent: the user must mend the name of the bucket, the bucket or its policy.
            StorageUnavailable: S3 did not answer, or only that it is too busy, after several attempts.
        """
        from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

        try:
            client = self._client  # its making, at the first request, is not the request's time
            with self.requests.timed():
                return getattr(client, operation)(Bucket=self.bucket, **parameters)
        except ParamValidationError as error:
            message = f"s3://{self.bucket} or a key in it cannot be a name on S3: correct the input ({error})"
            raise InvalidEvent(message, object=f"s3://{self.bucket}") from error
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code"))
            if code == "NoSuchBucket":
                message = f"there is no bucket {self.bucket}: create it, or correct bucket or data_bucket in the input"
                raise InvalidEvent(message, object=f"s3://{self.bucket}") from error
            if code in DENIED:
                message = (
                    f"access to {self.url(key)} was denied: allow this role to use it (without s3:ListBucket "
                    "S3 denies access to what does not exist, too)"
                )
                raise InvalidEvent(message) from error
            if code in REFUSALS:
                raise RefusedError(REFUSALS[code]) from error
            message = f"{self.url(key)}: S3 answered {code} after {ATTEMPTS} attempts: {error}"
            raise StorageUnavailable(message) from error
        except BotoCoreError as error:
            raise StorageUnavailable(f"{self.url(key)}: no answer after {ATTEMPTS} attempts: {error}") from error


class RefusedError(Exception):
    """S3 refused a request because its premise did not hold."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class ObjectReader(SeekableReader):
    """Reads an object's bytes.

    Reading forward is one request, and a seek elsewhere is another. A body that breaks off is resumed. All requests ask
    for the version that the first one found, so that an object that is replaced meanwhile is an error and not a
    mixture.
    """

    def __init__(self, store: ObjectStore, key: str, etag: str | None = None) -> None:
        """Sends the first request.

        Raises:
            RefusedError: there is no such object.
            InvalidEvent: it has another version than `etag`.
        """
        self._store, self.key = store, key
        self.name = store.url(key)
        self._body_position = 0
        self.etag = etag
        self._body: Any = None
        try:
            answer = self._request(0)
        except RefusedError as error:
            if error.outcome == "changed":
                raise self._replaced() from error
            raise
        self.size = answer["ContentLength"]
        self.etag = answer["ETag"]

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")[: max(0, self.size - self._position)]
        if not view:
            return 0
        from botocore.exceptions import BotoCoreError

        for resumes in range(RESUMES + 1):
            try:
                self._place_body()
                count: int = self._body.readinto(view)
                if count == 0:
                    raise EOFError  # the body ended before the object's size was reached
                break
            except (BotoCoreError, OSError, EOFError) as error:
                self._drop_body()
                if resumes == RESUMES:
                    raise StorageUnavailable(f"{self.name}: the body broke off at byte {self._position:,}") from error
        self._position += count
        self._body_position = self._position
        self._store.requests.count(bytes_in=count)
        return count

    def close(self) -> None:
        self._drop_body()
        super().close()

    def _place_body(self) -> None:
        ahead = self._position - self._body_position
        if self._body is not None and 0 <= ahead <= SKIP_BYTES:
            while ahead:
                skipped = len(self._body.read(ahead))
                if skipped == 0:
                    raise EOFError
                ahead -= skipped
                self._store.requests.count(bytes_in=skipped)
        else:
            self._drop_body()
            try:
                self._request(self._position)
            except RefusedError as error:
                raise self._replaced() from error
        self._body_position = self._position

    def _request(self, start: int) -> Any:
        wanted = {"Range": f"bytes={start}-"} if start else {}
        if self.etag is not None:
            wanted["IfMatch"] = self.etag
        self._store.requests.count(gets=1)
        answer = self._store.ask("get_object", self.key, Key=self.key, **wanted)
        self._body = answer["Body"]
        self._body_position = start
        return answer

    def _replaced(self) -> InvalidEvent:
        return InvalidEvent(f"{self.name} was replaced or removed while it was in use: start again")

    def _drop_body(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None
