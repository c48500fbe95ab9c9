import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lambda_image.comm.channel.handshake import Member
from tests.unit.lambda_image.comm.local_group import LocalGroup, MakeGroup, MakePair, OpenSockets, Pair, Soon


@pytest.fixture
def make_pair() -> Iterator[MakePair]:
    made: list[Pair] = []

    def make(*members: Member, **options: Any) -> Pair:
        made.append(Pair(*members, **options))
        return made[-1]

    yield make
    for pair in made:
        pair.lower.close()
        pair.higher.close()


@pytest.fixture
def make_group() -> Iterator[MakeGroup]:
    made: list[LocalGroup] = []

    def make(world_size: int) -> LocalGroup:
        made.append(LocalGroup(world_size))
        return made[-1]

    yield make
    for group in made:
        group.close()


@pytest.fixture
def open_sockets() -> OpenSockets:
    """Names each socket of this process, since a mere count changes when another test's garbage is collected."""

    def names() -> set[str]:
        links = map(os.path.realpath, Path("/proc/self/fd").iterdir())
        return {link for link in links if "socket:" in link}

    return names


@pytest.fixture
def soon() -> Soon:
    """A deadline that only a hanging test would reach."""
    return lambda: time.monotonic() + 30
