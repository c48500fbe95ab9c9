import gc
import sys
from collections.abc import Iterator

import pytest


def pytest_collection_finish() -> None:
    """Spares the collector what has been imported, which it would look through again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Gives PyTorch one thread: more of them spin, which on a busy machine costs more than all unit tests together."""
    if torch := sys.modules.get("torch"):
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(before)
    else:
        yield
