import threading
from collections.abc import Generator

import pytest

from lambda_image.read_ahead import OverdueError, read_ahead

PATIENCE_S = 30.0


class Source:
    """Counts up, and tells how far it came and that it was closed."""

    def __init__(self, fails_at: int | None = None, length: int = 1000) -> None:
        self.made = 0
        self.closed = threading.Event()
        self.makes = threading.Semaphore(0)
        self._fails_at, self._length = fails_at, length

    def items(self) -> Generator[int, None, None]:
        try:
            for number in range(self._length):
                if number == self._fails_at:
                    raise ValueError(f"number {number}")
                self.made += 1
                self.makes.release()
                yield number
        finally:
            self.closed.set()

    def until_made(self, count: int) -> None:
        for _ in range(count):
            assert self.makes.acquire(timeout=PATIENCE_S)


def test_items_come_in_order_and_end():
    source = Source(length=20)
    with read_ahead(source.items(), 3) as items:
        assert list(items) == list(range(20))
    assert source.closed.wait(PATIENCE_S)


def test_no_more_are_made_than_there_is_room_for():
    source = Source()
    with read_ahead(source.items(), 2) as items:
        source.until_made(2)
        assert source.made == 2
        assert next(items) == 0
        source.until_made(1)
        assert source.made == 3


def test_an_error_comes_behind_the_items_before_it():
    source = Source(fails_at=2)
    with read_ahead(source.items(), 5) as items:
        assert [next(items), next(items)] == [0, 1]
        with pytest.raises(ValueError, match="number 2"):
            next(items)
    assert source.closed.wait(PATIENCE_S)


def test_who_leaves_early_leaves_nothing_open():
    source = Source()
    with read_ahead(source.items(), 2) as items:
        next(items)
    assert source.closed.wait(PATIENCE_S)
    assert source.made <= 3


def test_an_item_that_is_not_there_by_the_deadline_is_overdue():
    never = threading.Event()

    def items() -> Generator[int, None, None]:
        yield 1
        never.wait(PATIENCE_S)

    with read_ahead(items(), 2, deadline=0.05, clock=iter([0.0, 0.0, 0.0]).__next__) as made:
        assert next(made) == 1
        with pytest.raises(OverdueError, match="had not been made") as overdue:
            next(made)
    never.set()
    assert not overdue.value.made


def test_after_the_deadline_an_item_is_overdue_and_an_end_is_an_end():
    source = Source(length=1)
    now = [0.0]
    with read_ahead(source.items(), 2, deadline=5.0, clock=lambda: now[0]) as made:
        assert source.closed.wait(PATIENCE_S)
        now[0] = 5.0
        with pytest.raises(OverdueError, match="was ready") as overdue:
            next(made)
    assert overdue.value.made
    source, now[0] = Source(length=1), 0.0
    with read_ahead(source.items(), 2, deadline=5.0, clock=lambda: now[0]) as made:
        assert next(made) == 0
        assert source.closed.wait(PATIENCE_S)
        now[0] = 5.0
        assert list(made) == []
