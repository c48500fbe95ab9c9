"""Reading ahead: a thread makes the next items of an iterator while others use the last one."""

import math
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")


class OverdueError(Exception):
    """Says that the deadline has passed before all items were used.

    Attributes:
        made: Whether the next item was ready, so that it was the user of the items who took too long.
    """

    def __init__(self, made: bool) -> None:
        super().__init__("the next item was ready" if made else "the next item had not been made")
        self.made = made


@contextmanager
def read_ahead(
    items: Generator[Item, None, None],
    depth: int,
    deadline: float = math.inf,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Iterator[Item]]:
    """Makes items in a thread of their own, ahead of whoever uses them.

    Where the block is left early, the thread finishes the item that it is making and closes `items`. Nobody waits for
    that.

    Args:
        items: what is to be made. It runs in the thread, and is closed there.
        depth: how many items at most are made and not yet asked for.
        deadline: until when items are given, in seconds of the clock.
        clock: tells the time.

    Yields:
        An iterator over the items. It raises what making an item raised, in the place of that item, and OverdueError
        in the place of an item that is asked for after the deadline, or was not there by then.
    """
    ready: SimpleQueue[tuple[Item] | BaseException] = SimpleQueue()
    room = threading.Semaphore(depth)
    left = threading.Event()

    def make() -> None:
        end: BaseException = StopIteration()
        try:
            while room.acquire() and not left.is_set():
                ready.put((next(items),))
        except BaseException as error:  # the end of the items, too, ends them where they are used
            end = error
        finally:
            items.close()
            ready.put(end)

    def take() -> tuple[Item] | BaseException:
        left_s = deadline - clock()
        try:
            item = ready.get() if left_s == math.inf else ready.get(timeout=max(0.0, left_s))
        except Empty:
            raise OverdueError(made=False) from None
        if left_s <= 0 and not isinstance(item, BaseException):
            raise OverdueError(made=True)
        return item

    def taken() -> Iterator[Item]:
        while not isinstance(item := take(), BaseException):
            room.release()
            yield item[0]
        if not isinstance(item, StopIteration):
            raise item

    threading.Thread(target=make, name="read-ahead", daemon=True).start()
    try:
        yield taken()
    finally:
        left.set()
        room.release()
