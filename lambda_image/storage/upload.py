"""An object that is written as a file, of which never more than two parts are in memory.

A part is sent in the background while the next one is written. Whoever encodes a table would else wait for S3 as long
as it takes to send all of it.
"""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from lambda_image.errors import RunError
from lambda_image.storage.bucket import Bucket, RefusedError

PART_BYTES = 8 << 20  # S3 takes 5 MiB and more, and 10,000 of them


class ObjectUpload:
    """Takes bytes by `write` and becomes an object by `finish`. What is smaller than a part is one ordinary request.

    `write` never raises, because those who write Parquet cannot bear it. `finish` raises what went wrong.

    Attributes:
        error: what went wrong, after which bytes are dropped.
        size: bytes that were written to it.
    """

    def __init__(
        self,
        bucket: Bucket,
        key: str,
        *,
        content_type: str,
        metadata: Mapping[str, str],
        part_bytes: int = PART_BYTES,
    ) -> None:
        """Asks S3 nothing yet.

        Args:
            bucket: where it will be.
            key: its key.
            content_type: its media type.
            metadata: what `ObjectStore.look` shall find beside the content, in ASCII.
            part_bytes: the size of a part.
        """
        self._bucket, self.key, self._part_bytes = bucket, key, part_bytes
        self._given = {"ContentType": content_type, "Metadata": dict(metadata)}
        self._buffer = bytearray()
        self._upload: str | None = None
        self._parts: list[dict[str, Any]] = []
        self._sender = ThreadPoolExecutor(1)  # whose thread begins with the first part
        self._on_its_way: Future[None] | None = None  # the part that was given to it last
        self.error: RunError | None = None
        self.size = 0

    def write(self, data: bytes) -> int:
        """Takes bytes, as a file does."""
        self.size += len(data)
        if self.error is None:
            self._buffer += data
            try:
                while len(self._buffer) >= self._part_bytes:
                    self._send(self._part_bytes)
            except RunError as error:
                self.error = error
                self._buffer.clear()
        return len(data)

    def flush(self) -> None:
        """Does nothing; a file has it."""

    def seek(self, *_: int) -> int:
        """Refuses, since what has been written is on its way; a file has it."""
        raise OSError("an upload cannot be read again")

    read = seek

    def finish(self, *, if_absent: bool = False, if_match: str | None = None) -> str | None:
        """Makes the object of what was written. It may be tried again by another condition.

        Args:
            if_absent: only where there is no such object.
            if_match: only where the object has this ETag.

        Returns:
            The object's ETag, or None where the condition did not hold.

        Raises:
            RunError: S3 has not taken it.
        """
        if self.error is not None:
            raise self.error
        condition = {"IfNoneMatch": "*"} if if_absent else {"IfMatch": if_match} if if_match else {}
        self._bucket.requests.count(puts=1)
        try:
            if self._upload is None:
                body = bytes(self._buffer)
                answer = self._bucket.ask("put_object", self.key, Key=self.key, Body=body, **self._given, **condition)
            else:
                if self._buffer:
                    self._send(len(self._buffer))
                self._wait()
                answer = self._bucket.ask(
                    "complete_multipart_upload",
                    self.key,
                    Key=self.key,
                    UploadId=self._upload,
                    MultipartUpload={"Parts": self._parts},
                    **condition,
                )
        except RefusedError:
            return None
        return str(answer["ETag"])

    def __enter__(self) -> "ObjectUpload":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.drop()
        self._sender.shutdown()

    def drop(self) -> None:
        """Drops the parts of an upload that will not be finished. S3 would keep and bill them."""
        self._sender.shutdown()  # a part that comes after the end would stay
        if self._upload is not None:
            with suppress(RunError, RefusedError):
                self._bucket.ask("abort_multipart_upload", self.key, Key=self.key, UploadId=self._upload)

    def _send(self, size: int) -> None:
        """Gives a part to the sender, once that has sent the one before."""
        self._wait()
        self._bucket.requests.count(puts=1)
        if self._upload is None:
            self._bucket.requests.count(puts=1)
            begun = self._bucket.ask("create_multipart_upload", self.key, Key=self.key, **self._given)
            self._upload = begun["UploadId"]
        body = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._on_its_way = self._sender.submit(self._send_part, body)

    def _wait(self) -> None:
        """Waits for the part that is on its way, and raises what went wrong with it."""
        if self._on_its_way is not None:
            self._on_its_way.result()

    def _send_part(self, body: bytes) -> None:
        number = len(self._parts) + 1
        answer = self._bucket.ask(
            "upload_part", self.key, Key=self.key, UploadId=self._upload, PartNumber=number, Body=body
        )
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})
