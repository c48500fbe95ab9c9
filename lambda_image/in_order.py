"""Work on one thing after another by several threads, without running far ahead of whoever takes the results."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(work: Callable[[T], R], things: Iterable[T], threads: int) -> Iterator[R]:
    """Does some work on each thing.

    At most twice as many things as there are threads are begun and not yet taken, so that memory is bounded however
    many there are. `things` is asked for the next one in the caller's thread.

    Args:
        work: what is done, in any of the threads.
        things: one after another.
        threads: how many work at the same time.

    Yields:
        What came of each thing, in their order.

    Raises:
        Exception: whatever `work` raises, in the place of its result.
    """
    begun: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for thing in things:
                begun.append(pool.submit(work, thing))
                if len(begun) >= 2 * threads:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for waiting in begun:
                waiting.cancel()
