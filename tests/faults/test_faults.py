"""Every fault in a real run. `make test` runs the fast ones, and `make faults` all."""

from collections.abc import Iterator

import pytest

from tests.faults.beds import Beds, beds
from tests.faults.catalogue import EVERY
from tests.faults.fault import Fault, play

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beds]:
    with beds(tmp_path_factory.mktemp("faults")) as made:
        yield made


def cases() -> list[object]:
    return [
        pytest.param(fault, id=f"{group}: {fault.name}", marks=[] if fault.fast else [pytest.mark.slow])
        for group, fault in EVERY
    ]


@pytest.mark.parametrize("fault", cases())
def test_a_fault_costs_time_and_nothing_else(places: Beds, fault: Fault):
    if reason := fault.lacking():
        pytest.skip(reason)
    assert play([fault], places.of([fault])).problems == ()
