"""Make the items of an iterator in a thread of their own, a bounded number of them ahead of whoever uses them."""

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def read_ahead(items: Generator[Item, None, None], depth: int) -> Iterator[Iterator[Item]]:
    """`items`, of which at most `depth` are made and not yet asked for. What making one raises is raised in its place.

    Leaving early closes `items`, in their own thread, as soon as the one that is being made is there; nobody waits.
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

    def taken() -> Iterator[Item]:
        while not isinstance(item := ready.get(), BaseException):
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
