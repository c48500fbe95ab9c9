"""Reading ahead: a thread makes the next items of an iterator while others use the last one."""

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def read_ahead(items: Generator[Item, None, None], depth: int) -> Iterator[Iterator[Item]]:
    """Makes items in a thread of their own, ahead of whoever uses them.

    Where the block is left early, the thread finishes the item that it is making and closes `items`. Nobody waits for
    that.

    Args:
        items: what is to be made. It runs in the thread, and is closed there.
        depth: how many items at most are made and not yet asked for.

    Yields:
        An iterator over the items. It raises what making an item raised, in the place of that item.
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
