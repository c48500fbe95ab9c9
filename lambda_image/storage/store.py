"""The objects of a bucket: listed, read and written."""

import json
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from lambda_image.errors import InvalidEvent, PartitionMissing
from lambda_image.json_text import parse_json
from lambda_image.storage.bucket import Bucket, RefusedError, Requests
from lambda_image.storage.listing import each_page
from lambda_image.storage.reader import ObjectReader

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONFLICT_ATTEMPTS = 3  # of a conditional write that met another one in flight (409); S3 asks to repeat it
DELETED_AT_A_TIME = 1000  # S3's limit


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


class ObjectStore(Bucket):
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
        super().__init__(bucket, client=client, requests=requests)
        self._missing = missing

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

        Where it is more than one page, ranges of keys are listed at a time (listing.py).

        Args:
            prefix: what ends in a slash, or is empty for the root of the bucket.

        Yields:
            Objects, and folders with keys that end in a slash, of no size and no ETag, in no order, each once.
        """
        folders: set[str] = set()
        for page in each_page(lambda **wanted: self._page(prefix, Delimiter="/", **wanted), prefix):
            for item in page.get("Contents", ()):
                yield ObjectInfo(item["Key"], item["Size"], item["ETag"])
            for folder in page.get("CommonPrefixes", ()):
                if folder["Prefix"] not in folders:  # a boundary between ranges may lie in it
                    folders.add(folder["Prefix"])
                    yield ObjectInfo(folder["Prefix"], 0, "")

    def _pages(self, prefix: str) -> Iterator[Any]:
        token: dict[str, str] = {}
        while True:
            page = self._page(prefix, **token)
            yield page
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _page(self, prefix: str, **wanted: str) -> Any:
        self.requests.count(lists=1)
        return self.ask("list_objects_v2", prefix, Prefix=prefix, **wanted)

    def head(self, key: str) -> ObjectInfo | None:
        """Looks up an object without reading it; None where it is not there."""
        self.requests.count(heads=1)
        try:
            answer = self.ask("head_object", key, Key=key)
        except RefusedError:
            return None
        return ObjectInfo(key, answer["ContentLength"], answer["ETag"], answer.get("Metadata", {}))

    def open(self, key: str, etag: str | None = None) -> ObjectReader:
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
        data: bytes | IO[bytes],
        *,
        content_type: str = "application/octet-stream",
        if_absent: bool = False,
        if_match: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> str | None:
        """Writes an object.

        Args:
            key: its key.
            data: its content, or a file that is read from its beginning.
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
            if not isinstance(data, bytes):
                data.seek(0)
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
            return parse_json(data)
        except ValueError as error:
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
