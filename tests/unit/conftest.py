import gc
import os
import sys
from collections.abc import Iterator

import pytest

MUCH_IMPORTED = 200  # modules since the last freeze

gc.disable()  # until all tests have been imported
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # PyTorch's threads spin otherwise, where a test gives it several


def pytest_collection_finish() -> None:
    gc.enable()
    gc.set_threshold(50_000, 20, 50)  # collections of what tests leave behind cost more than it does
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _few_collections() -> Iterator[None]:
    """Spares the collector what has been imported, which it would look through again and again."""
    before = len(sys.modules)
    yield
    if len(sys.modules) - before > MUCH_IMPORTED:
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
