"""Every way a run can fail, by the name that the state machine's Retry and Catch match.

RunError
├── InvalidEvent            the execution input, or a file a user gave: mend it and start again
├── PartitionMissing        an object or prefix that the input names is not on S3
├── PartitionMalformed      an object is there but is not a partition
├── StorageUnavailable      S3 did not answer, or only that it is too busy, after several tries
├── CheckpointError         a checkpoint cannot be read or does not fit the architecture
├── RendezvousUnreachable   no connection to the rendezvous server
├── RendezvousTimeout       connected, but the group was not complete by the deadline
├── RendezvousRejected      the server refused this rank, and said why
├── PeerUnreachable         no candidate led to the peer
├── PeerClosed              the peer's connection ended in the middle of an operation
├── PeerTimeout             the peer did not answer by the deadline
└── TooManyFailures         more ranks failed than the input tolerates

Lambda reports a raised class by its bare name as the error type. Retrying helps only where a class is transient.
"""

from typing import ClassVar


class RunError(Exception):
    """Says that a run, or something done for one, failed. Every failure of this project is one.

    Args:
        message: What failed, and what to do about it.
        **details: The facts of the message under their names (rank, peer, key, elapsed_s, ...).

    Attributes:
        transient: Whether the same attempt may succeed when it is repeated.
    """

    transient: ClassVar[bool] = False

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.details = details


class InvalidEvent(RunError):
    pass


class PartitionMissing(RunError):
    pass


class PartitionMalformed(RunError):
    pass


class StorageUnavailable(RunError):
    transient = True


class CheckpointError(RunError):
    pass


class RendezvousUnreachable(RunError):
    transient = True


class RendezvousTimeout(RunError):
    transient = True


class RendezvousRejected(RunError):
    pass


class PeerUnreachable(RunError):
    transient = True


class PeerClosed(RunError):
    transient = True


class PeerTimeout(RunError):
    transient = True


class TooManyFailures(RunError):
    pass


class UsageError(Exception):
    """A flag or an argument of a command is wrong. No run fails by it, so that the state machine never sees it."""
