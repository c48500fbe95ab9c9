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
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lambda_image.data.byte_source import SeekableReader
from lambda_image.download_rate import RateFloor, StalledError, make_prompt
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
DELETED_AT_A_TIME = 1000  # S3's limit
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
    """An object as S3 lists it. A listing tells no metadata."""

    key: str
    size: int  # bytes
    etag: str
    metadata: Mapping[str, str] = MappingProxyType({})


class Version(NamedTuple):
    """An object as it was found, with the metadata of whoever wrote it."""

    data: bytes
    etag: str
    metadata: Mapping[str, str]


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
        return ObjectInfo(key, answer["ContentLength"], answer["ETag"], answer.get("Metadata", {}))

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
        version = self.look(key)
        return version.data if version is not None else None

    def look(self, key: str) -> Version | None:
        """Reads a whole object, its ETag and its metadata; None where there is no such object."""
        try:
            reader = ObjectReader(self, key)
        except RefusedError:
            return None
        with reader:
            return Version(reader.read(), reader.etag or "", reader.metadata)

    def delete(self, keys: Iterable[str]) -> None:
        """Removes objects. One that is not there is none to remove.

        Raises:
            InvalidEvent: one of them may not be removed.
        """
        left = list(keys)
        while left:
            batch, left = left[:DELETED_AT_A_TIME], left[DELETED_AT_A_TIME:]
            wanted = {"Objects": [{"Key": key} for key in batch], "Quiet": True}
            for failed in self.ask("delete_objects", batch[0], Delete=wanted).get("Errors", ()):
                raise InvalidEvent(f"{self.url(failed['Key'])} could not be removed: S3 answered {failed['Code']}")

    def put(
        self,
        key: str,
        data: bytes,
        *,
        content_type: str = "application/octet-stream",
        if_absent: bool = False,
        if_match: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> str | None:
        """Writes an object.

        Args:
            key: its key.
            data: its content.
            content_type: its media type.
            if_absent: write only where there is no such object.
            if_match: write only where the object has this ETag.
            metadata: what `look` shall find beside the content, in ASCII.

        Returns:
            The object's new ETag, or None where the condition did not hold. A retried request may meet its own first
            try: None then means only that something is there, and reading it shows what.
        """
        given: dict[str, Any] = {"IfNoneMatch": "*"} if if_absent else {"IfMatch": if_match} if if_match else {}
        if metadata:
            given["Metadata"] = dict(metadata)
        for _ in range(CONFLICT_ATTEMPTS):
            self.requests.count(puts=1)
            try:
                answer = self.ask("put_object", key, Key=key, Body=data, ContentType=content_type, **given)
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
        except (ValueError, RecursionError) as error:
            raise InvalidEvent(f"{self.url(key)} is not JSON: {error}") from error

    def put_json(
        self,
        key: str,
        value: object,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> str | None:
        """Writes an object as JSON, by the conditions of `put`.

        Returns:
            What `put` returns.

        Raises:
            ValueError: a number in `value` is not finite.
        """
        return self.put(
            key,
            json.dumps(value, allow_nan=False).encode(),
            content_type="application/json",
            if_absent=if_absent,
            if_match=if_match,
            metadata=metadata,
        )

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
        self._floor = RateFloor(store.requests.clock)
        self._stalls = 0  # windows in a row that were too slow
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
        self.metadata: Mapping[str, str] = answer.get("Metadata", {})

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")[: max(0, self.size - self._position)]
        done = 0
        while done < len(view):  # piece by piece, so that the rate is seen; other bytes come again after a break
            count = self._receive_on(view[done:])
            done += count
            self._position += count
            self._body_position = self._position
            self._store.requests.count(bytes_in=count)
        return done

    def readall(self) -> bytes:
        content = bytearray(max(0, self.size - self._position))
        self.readinto(content)
        return bytes(content)

    def _receive_on(self, view: memoryview) -> int:
        """What has come of the body, which is asked for again where it breaks off or stalls."""
        from botocore.exceptions import BotoCoreError

        broken = 0
        while True:
            try:
                self._place_body()
                return self._receive(view)
            except StalledError as error:
                self._drop_body()
                self._stalls += 1
                if self._stalls > RESUMES:
                    why = f"came too slowly {self._stalls} times ({error})"
                    raise StorageUnavailable(self._gave_up(why)) from error
            except (BotoCoreError, OSError, EOFError) as error:
                self._drop_body()
                broken += 1
                if broken > RESUMES:
                    raise StorageUnavailable(self._gave_up("broke off")) from error

    def _receive(self, view: memoryview) -> int:
        """What has come, at least a byte. Raises EOFError where the body ended before the object's size was reached."""
        self._floor.begin()
        count: int = self._body.readinto(view)
        if count == 0:
            raise EOFError
        if self._floor.end(count):
            self._stalls = 0
        return count

    def _gave_up(self, why: str) -> str:
        return f"{self.name}: the body {why} at byte {self._position:,} of {self.size:,}"

    def close(self) -> None:
        self._drop_body()
        super().close()

    def _place_body(self) -> None:
        ahead = self._position - self._body_position
        if self._body is not None and 0 <= ahead <= SKIP_BYTES:
            dropped = memoryview(bytearray(ahead))
            while ahead:
                skipped = self._receive(dropped[:ahead])
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
        make_prompt(self._body)
        self._body_position = start
        return answer

    def _replaced(self) -> InvalidEvent:
        return InvalidEvent(f"{self.name} was replaced or removed while it was in use: start again")

    def _drop_body(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None
