from contextlib import suppress

import numpy as np
import pytest

from lambda_image.comm.operations.group_context import SCRATCH_KEPT, Scratch, delivered


def test_scratch_is_the_same_memory_again() -> None:
    scratch, like = Scratch(), np.zeros((3, 4), "f4")
    with scratch:
        first = scratch.like(like)
        assert scratch.like(like) is not first
    with scratch:
        again = [scratch.like(like), scratch.like(np.zeros(12, "i4"))]
    assert any(np.shares_memory(first, one) for one in again)


def test_what_is_kept_or_was_in_use_when_something_failed_is_not_lent_again() -> None:
    scratch, like = Scratch(), np.zeros(10)
    with scratch:
        kept = scratch.like(like)
        scratch.keep(kept)
    with suppress(ZeroDivisionError), scratch:
        failed = scratch.like(like)
        _ = 1 / 0
    with scratch:
        later = scratch.like(like)
    assert not np.shares_memory(kept, later)
    assert not np.shares_memory(failed, later)


def test_scratch_does_not_keep_everything() -> None:
    scratch, large = Scratch(), np.empty(SCRATCH_KEPT // 2 + 1, np.uint8)
    with scratch:
        both = [scratch.like(large), scratch.like(large)]
    with scratch:
        again = [scratch.like(large), scratch.like(large)]
    assert sum(np.shares_memory(one, other) for one in both for other in again) == 1


def test_a_value_is_delivered_where_it_should_go() -> None:
    out = np.zeros(3)
    assert delivered(np.arange(3.0), out) is out
    assert out.tolist() == [0, 1, 2]
    room = bytearray(2)
    assert delivered(b"ab", room) is room
    assert room == b"ab"
    assert delivered(b"ab", None) == b"ab"


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        (np.zeros(4), r'out has room for \["<f8", \[4\]\]; the value is \["<f8", \[3\]\]'),
        (np.zeros(3, "f4"), "<f4"),
        (bytearray(24), "room for 24 bytes"),
        (np.zeros(6)[::2], "C-contiguous"),
        (bytes(24), "writable"),
    ],
)
def test_out_must_have_the_values_form(out: np.ndarray | bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        delivered(np.arange(3.0), out)
