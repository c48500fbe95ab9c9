"""The reductions in the sizes of a group that its unit test leaves out, since ranks and messages take their time."""

from contextlib import closing
from time import monotonic

import pytest

from lambda_image.comm.operations.cost_model import Algorithm
from tests.unit.lambda_image.comm.local_group import LocalGroup
from tests.unit.lambda_image.comm.operations.test_reduce_collectives import check_every_reduction


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("algorithm", list(Algorithm))
@pytest.mark.parametrize("world_size", [6, 7, *range(9, 18)])
def test_every_algorithm_gives_the_reference_bits(world_size: int, algorithm: Algorithm) -> None:
    with closing(LocalGroup(world_size)) as group:
        check_every_reduction(group, lambda: monotonic() + 60, algorithm)
