import pickle
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from lambda_image import errors
from lambda_image.errors import (
    MAX_MESSAGE,
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
    cut,
    with_short_errors,
)
from lambda_image.handlers import init, summarize
from tests.unit.lambda_image.handlers.rank_stage import Stage

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


LONG = "x" * 840_000 + " fetch it again"


@pytest.mark.parametrize("kind", CLASSES.values(), ids=CLASSES)
def test_no_message_is_too_long_to_be_posted(kind: type[RunError]) -> None:
    assert len(str(kind(LONG))) <= MAX_MESSAGE
    assert str(kind(LONG)).endswith(" fetch it again")
    assert "840,015 characters" in kind(LONG).message


def test_what_a_peer_or_a_server_says_is_cut_too() -> None:
    assert len(PeerTimeout("x", reason=LONG).reason or "") <= MAX_MESSAGE


def test_a_short_text_is_left_as_it_is() -> None:
    for text in ("", "x", "x" * MAX_MESSAGE):
        assert cut(text) == text
    assert len(cut("x" * 1000, 100)) == 100


class OddError(Exception):
    def __str__(self) -> str:
        return LONG


@pytest.mark.parametrize("error", [KeyError(LONG), ValueError(LONG, 1), OddError(), OSError(5, LONG)])
def test_an_error_of_any_class_leaves_a_handler_short(error: Exception) -> None:
    @with_short_errors
    def handler(event: object, context: object) -> None:
        raise error

    with pytest.raises((type(error), RunError)) as caught:
        handler({}, None)
    assert len(str(caught.value)) <= MAX_MESSAGE + 2  # quotes of a KeyError
    assert type(error).__name__ in f"{type(caught.value).__name__}: {caught.value}"


def test_a_handler_that_raises_little_or_nothing_is_left_alone() -> None:
    assert with_short_errors(lambda value: value)(3) == 3
    with pytest.raises(ValueError, match=r"^no$"):
        with_short_errors(_refuse)()


def _refuse() -> None:
    raise ValueError("no")


class LongWinded(dict[str, Any]):
    """An event at which a handler fails by an error of Python's own, and a long one."""

    def fail(self, *_: object) -> Any:
        raise ValueError(LONG)

    __getitem__ = __contains__ = get = keys = fail  # type: ignore[assignment]


@pytest.mark.parametrize(
    "handler", [init.handler, summarize.handler, Stage().function], ids=["Init", "Summarize", "rank"]
)
def test_every_handler_leaves_errors_short(handler: Callable[[Any, None], object]) -> None:
    with pytest.raises(ValueError, match="x") as caught:
        handler(LongWinded(), None)
    assert len(str(caught.value)) <= MAX_MESSAGE
