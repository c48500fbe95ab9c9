from collections.abc import Iterator

import pytest

from tests.network.internet import Internet
from tests.network.namespace import unavailable


@pytest.fixture(scope="session")
def internet() -> Iterator[Internet]:
    if reason := unavailable():
        pytest.skip(reason)
    with Internet() as internet:
        yield internet
