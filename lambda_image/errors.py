"""Every way a run can fail, by the name that the state machine's Retry and Catch match.

RunError
├── InvalidEvent                 the execution input, or a file a user gave: mend it and start again
├── PartitionMissing             an object or prefix that the input names is not on S3
├── PartitionMalformed           an object is there but is not a partition
├── DeadlineExceeded             a rank ends before its function's timeout would end it, so that it can say why
├── RunSuperseded                another run has taken the result path: this one must write nothing more
├── RunOverdue                   a rank's turn came after the run's time: it was not begun
├── StorageUnavailable           S3 did not answer, or only that it is too busy, after several tries
├── CheckpointError              a checkpoint cannot be read or does not fit the architecture
├── CommunicationError           what the communicator raises, in one of these forms:
│   ├── RendezvousError
│   │   ├── RendezvousUnreachable    no connection to the rendezvous server
│   │   ├── RendezvousTimeout        connected, but the group was not complete by the deadline
│   │   └── RendezvousRejected       the server refused this rank, and said why
│   └── PeerError
│       ├── PeerUnreachable          no candidate led to the peer
│       ├── PeerClosed               the peer's connection ended in the middle of an operation
│       └── PeerTimeout              the peer did not answer by the deadline
└── TooManyFailures              more ranks failed than the input tolerates

Lambda reports a raised class by its bare name as the error type. Retrying helps only where a class is transient.

A field holds as a value what the message says in words. It is None where whoever raised the error did not know it.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, cast

# Characters of a message. What a file says may stand in it, and 10,000 ranks' messages have to fit into one summary.
# Step Functions keeps 32,768 of a cause, which holds the traceback, too.
MAX_MESSAGE = 4_000
SHOWN_END = 500  # of a longer one: there stands what to do about it


def cut(text: str, limit: int = MAX_MESSAGE) -> str:
    """Shortens a message that is longer than a log, a record or Lambda takes.

    Args:
        text: The message.
        limit: How many characters it may have.

    Returns:
        The message, or its beginning and end with the number of characters that are left out between them.
    """
    if len(text) <= limit:
        return text
    end = min(SHOWN_END, limit // 4)
    note = f" ... ({len(text):,} characters in all) ... "
    return f"{text[: max(0, limit - end - len(note))]}{note}{text[-end:]}"


Handler = TypeVar("Handler", bound=Callable[..., Any])


def with_short_errors(function: Handler) -> Handler:
    """Makes a function raise errors whose message can be posted and logged, whatever raised them."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if not isinstance(error, RunError) and len(text := str(error)) > MAX_MESSAGE:
                error.args = (cut(text),)
                if len(str(error)) > MAX_MESSAGE:  # a class that makes its message of something else
                    raise RunError(cut(f"{type(error).__name__}: {text}")) from None
            raise

    return cast(Handler, call)


@dataclass(eq=False, repr=False)
class RunError(Exception):
    """A run has failed, or cannot begin. The message says what to do about it, where something can be done.

    Attributes:
        message: What failed, and what to do about it.
        transient: Whether the same attempt may succeed when it is repeated.
    """

    transient: ClassVar[bool] = False

    message: str

    def __post_init__(self) -> None:
        self.message = cut(self.message)
        super().__init__(self.message)  # also where the message was given by its name


@dataclass(eq=False, repr=False, kw_only=True)
class InvalidEvent(RunError):
    key: str | None = None  # of the execution input
    value: Any = None  # what stood there
    object: str | None = None  # the bucket or object on S3 that is concerned, as s3://...


@dataclass(eq=False, repr=False, kw_only=True)
class PartitionMissing(RunError):
    object: str | None = None  # the object, prefix or file that was looked for


@dataclass(eq=False, repr=False, kw_only=True)
class PartitionMalformed(RunError):
    object: str | None = None  # the object or file


class StorageUnavailable(RunError):
    transient = True


@dataclass(eq=False, repr=False, kw_only=True)
class DeadlineExceeded(RunError):
    """A rank's time is nearly over. What it has finished is kept, and its next attempt goes on from there.

    Attributes:
        phase: What it was doing, "download" or "inference".
        object: The partition that it was working on.
        rate: What it came to in that phase, in bytes or samples per second.
    """

    transient = True

    phase: str | None = None
    object: str | None = None
    rate: float | None = None


@dataclass(eq=False, repr=False, kw_only=True)
class RunSuperseded(RunError):
    object: str | None = None  # what it was not to write


class RunOverdue(RunError):
    pass


@dataclass(eq=False, repr=False, kw_only=True)
class CheckpointError(RunError):
    path: str | None = None
    damaged: bool = False  # whether a file is there and not what it was when it was made


@dataclass(eq=False, repr=False, kw_only=True)
class CommunicationError(RunError):
    """An operation of the communicator has failed, or the join that it needs.

    Attributes:
        rank: The rank that raises it.
        peer: The rank that it failed for.
        phase: The operation, as in "gather".
        elapsed_s: Seconds since the operation or the attempt to join began.
        reason: What the peer or the server did, or did not do.
    """

    rank: int | None = None
    peer: int | None = None
    phase: str | None = None
    elapsed_s: float | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.reason = cut(self.reason) if self.reason is not None else None


@dataclass(eq=False, repr=False, kw_only=True)
class RendezvousError(CommunicationError):
    """The rendezvous server introduces this rank to nobody. Where an operation waited for a peer, that is named too.

    Attributes:
        endpoint: The server, as host:port.
    """

    endpoint: str | None = None


class RendezvousUnreachable(RendezvousError):
    """There is no connection to the rendezvous server, or there is none any more."""

    transient = True


@dataclass(eq=False, repr=False, kw_only=True)
class RendezvousTimeout(RendezvousError):
    """The server was reached, but did not answer in time, or the group was not complete in time.

    Attributes:
        missing: The ranks that had not joined. There are none if it was the server that did not answer.
    """

    transient = True

    missing: tuple[int, ...] = ()


@dataclass(eq=False, repr=False, kw_only=True)
class RendezvousRejected(RendezvousError):
    """The server did not let this rank in, or has put it out.

    Attributes:
        code: The name of the protocol's RejectCode, or None if a newer attempt has taken the rank's place.
        retry_later: Whether the same join may be accepted later.
    """

    code: str | None = None
    retry_later: bool = False


class PeerError(CommunicationError):
    """An operation failed because of one peer."""


class PeerUnreachable(PeerError):
    """No connection to the peer could be made. Its `reason` lists every way that was tried."""

    transient = True


class PeerClosed(PeerError):
    """The peer's process has ended, or it gave up, lost step or sent bytes that are not its own."""

    transient = True


class PeerTimeout(PeerError):
    """The peer had not joined, connected, sent or taken its part by the deadline."""

    transient = True


@dataclass(eq=False, repr=False, kw_only=True)
class TooManyFailures(RunError):
    failed: tuple[int, ...] = ()  # the ranks that failed


class UsageError(Exception):
    """A flag or an argument of a command is wrong. No run fails by it, so that the state machine never sees it."""
