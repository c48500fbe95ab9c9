import pickle
from dataclasses import fields

import pytest

from lambda_image import errors
from lambda_image.errors import (
    CommunicationError,
    InvalidEvent,
    PartitionMissing,
    PeerError,
    PeerTimeout,
    RendezvousError,
    RendezvousRejected,
    RendezvousTimeout,
    RunError,
    TooManyFailures,
)

CLASSES = {name: item for name, item in vars(errors).items() if isinstance(item, type) and issubclass(item, RunError)}


def test_every_class_is_drawn_in_the_tree_and_none_is_missing():
    lines = [line for line in (errors.__doc__ or "").splitlines() if "── " in line]
    assert {line.split("── ")[1].split()[0] for line in lines} == CLASSES.keys() - {"RunError"}


def test_an_error_carries_its_facts():
    error = PeerTimeout("rank 3 did not answer", rank=3, elapsed_s=1.5)
    assert str(error) == error.message == "rank 3 did not answer"
    assert (error.rank, error.elapsed_s, error.peer) == (3, 1.5, None)
    assert isinstance(error, PeerError | CommunicationError)


@pytest.mark.parametrize("kind", CLASSES.values(), ids=CLASSES)
def test_a_message_is_enough(kind: type[RunError]) -> None:
    assert str(kind("it failed")) == str(kind(message="it failed")) == "it failed"


@pytest.mark.parametrize(
    "error",
    [
        InvalidEvent("x", key="world_size", value=-1, object="s3://bucket"),
        PartitionMissing("x", object="s3://bucket/1.pt"),
        PeerTimeout("x", rank=1, peer=2, phase="gather", elapsed_s=1.5, reason="had not joined"),
        RendezvousTimeout("x", rank=1, endpoint="host:1", missing=(2, 3)),
        RendezvousRejected("x", code="LIMIT", reason="full", retry_later=True),
        TooManyFailures("x", failed=(1, 2)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_travels_between_processes(error: RunError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == "x"
    assert {field.name: getattr(copy, field.name) for field in fields(copy)} == vars(error)


def test_two_errors_alike_are_two():
    assert PeerTimeout("late") != PeerTimeout("late")
    assert len({PeerTimeout("late"), PeerTimeout("late")}) == 2


def test_no_class_of_classes_is_transient():
    """Nobody raises them, so the state machine need not name them."""
    assert not any(kind.transient for kind in (RunError, CommunicationError, RendezvousError, PeerError))
