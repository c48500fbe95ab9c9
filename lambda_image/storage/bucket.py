"""One request to S3: the client that sends it, how it is counted and timed, and the errors that may come of it."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from lambda_image.errors import InvalidEvent, StorageUnavailable
from lambda_image.request_times import RequestTimes

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_TIMEOUT_S = 5.0  # within a region connections take milliseconds
READ_TIMEOUT_S = 60.0  # between two pieces of a body, not for all of it
ATTEMPTS = 4  # of a request: three retries in botocore's standard mode, which backs off with jitter
CONNECTIONS = 16  # kept open: a rank has one download and a few small requests in flight

Refusal = Literal["absent", "changed", "conflict"]
REFUSALS: dict[str, Refusal] = {  # by S3's error codes; bare numbers where an answer has no body (HEAD)
    "NoSuchKey": "absent",
    "404": "absent",
    "PreconditionFailed": "changed",
    "412": "changed",
    "ConditionalRequestConflict": "conflict",
}
DENIED = {"AccessDenied", "AllAccessDisabled", "403"}


class RefusedError(Exception):
    """S3 refused a request because its premise did not hold."""

    def __init__(self, outcome: Refusal) -> None:
        super().__init__(outcome)
        self.outcome = outcome


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

            from lambda_image.storage.list_page import EVENT, take_contents  # late: the XML parser takes milliseconds

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
            _client.meta.events.register(EVENT, take_contents)
        return _client


class Bucket:
    """Sends requests about the objects of one bucket."""

    def __init__(
        self,
        bucket: str,
        *,
        client: "S3Client | None" = None,
        requests: Requests | None = None,
    ) -> None:
        """Asks nothing yet.

        Args:
            bucket: its name.
            client: a boto3 client; without one, that of the process.
            requests: where requests are counted, which several buckets may share.
        """
        self.bucket = bucket
        self.requests = requests if requests is not None else Requests()
        self._given_client = client

    @property
    def _client(self) -> "S3Client":
        return self._given_client or s3_client()

    def url(self, key: str) -> str:
        """Names an object as people know it, for messages."""
        return f"s3://{self.bucket}/{key}"

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
