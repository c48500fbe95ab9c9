import numpy as np
import pytest

from lambda_image.data.predictions import Predictions
from lambda_image.statistics import Statistics, without_sketches


def table(*redshifts: float) -> Predictions:
    z = np.array(redshifts, np.float32)
    return Predictions.of_partition("k", 0, np.zeros((len(z), 5)), z, z + np.float32(0.01))


def test_tables_of_ranks_add_up_by_way_of_their_records():
    whole, merged = Statistics(), Statistics()
    whole.add(table(0.1, 0.2, 0.3))
    for redshifts in ((0.3,), (0.1, 0.2)):
        one = Statistics()
        one.add(table(*redshifts))
        merged.merge(Statistics.from_json(one.to_json()))
    assert merged.to_json() == whole.to_json()
    assert merged.accuracy.accuracy().samples == 3


def test_what_people_read_has_no_sketch():
    one = Statistics()
    one.add(table(0.1))
    assert without_sketches(one.to_json())["accuracy"].keys() == one.to_json()["accuracy"].keys() - {"sketch"}


@pytest.mark.parametrize("content", [{}, {"accuracy": None}, {"accuracy": {}}, {"accuracy": 3}])
def test_what_are_no_statistics_is_refused(content: dict):
    with pytest.raises(ValueError):
        Statistics.from_json(content)
