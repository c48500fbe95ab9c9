"""Every fault in a real run. `make test` runs the fast ones, and `make faults` all."""

from collections.abc import Iterator

import pytest

from tests.faults.bed import Bed, bed
from tests.faults.catalogue import EVERY
from tests.faults.fault import Fault, play

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with bed(tmp_path_factory.mktemp("faults")) as made:
        yield made


def cases() -> list[object]:
    return [
        pytest.param(fault, id=f"{group}: {fault.name}", marks=[] if fault.fast else [pytest.mark.slow])
        for group, fault in EVERY
    ]


@pytest.mark.parametrize("fault", cases())
def test_a_fault_costs_time_and_nothing_else(running: Bed, fault: Fault):
    assert play([fault], running).problems == ()
