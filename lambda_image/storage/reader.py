"""An object that is read as a file."""

from collections.abc import Mapping
from typing import Any

from lambda_image.data.byte_source import SeekableReader
from lambda_image.download_rate import RateFloor, StalledError, make_prompt
from lambda_image.errors import InvalidEvent, StorageUnavailable
from lambda_image.storage.bucket import Bucket, RefusedError

RESUMES = 3  # of one object's body without progress in between; a body that stops is continued where it stopped
SKIP_BYTES = 1 << 16  # a short way forward is read and dropped: cheaper than a new request


class ObjectReader(SeekableReader):
    """Reads an object's bytes.

    Reading forward is one request, and a seek elsewhere is another. A body that breaks off is resumed. All requests ask
    for the version that the first one found, so that an object that is replaced meanwhile is an error and not a
    mixture.
    """

    def __init__(self, bucket: Bucket, key: str, etag: str | None = None) -> None:
        """Sends the first request.

        Raises:
            RefusedError: there is no such object.
            InvalidEvent: it has another version than `etag`.
        """
        self._bucket, self.key = bucket, key
        self._floor = RateFloor(bucket.requests.clock)
        self._stalls = 0  # windows in a row that were too slow
        self.name = bucket.url(key)
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
            self._bucket.requests.count(bytes_in=count)
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
                self._bucket.requests.count(bytes_in=skipped)
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
        self._bucket.requests.count(gets=1)
        answer = self._bucket.ask("get_object", self.key, Key=self.key, **wanted)
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
