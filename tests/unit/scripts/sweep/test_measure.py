from pathlib import Path

import pytest

from scripts.aws_endpoint import AwsEndpoint
from scripts.runs.place import Place
from scripts.runs.run_progress import RunProgress
from scripts.sweep.configuration import Configuration
from scripts.sweep.folder import NOT_RUN
from scripts.sweep.measure import Nowhere, at


@pytest.mark.parametrize(
    ("configuration", "why"),
    [
        (Configuration(129, 8, 10), "one machine runs at most 128 ranks"),
        (Configuration(1, 8, 10, memory_mb=128), "the memory of the ranks is that of the endpoint"),
        (Configuration(1, 8, 10**12), "the data need 41"),
    ],
)
def test_what_cannot_be_made_here_is_a_row_with_its_reason(configuration: Configuration, why: str, tmp_path: Path):
    endpoint = AwsEndpoint("http://127.0.0.1:9")  # which is never asked
    place = Place("here", endpoint.client, "r", "arn", "bucket", local=endpoint)
    with (tmp_path / "out").open("w") as out, at(place, RunProgress(out, [])) as measurer:
        measured = measurer.run(configuration)
    assert (measured.status, measured.summary) == (NOT_RUN, None)
    assert str(measured.reason).startswith(why)


def test_a_place_that_is_not_there_makes_rows_with_its_reason():
    measured = Nowhere("there is no docker command").run(Configuration(1, 8, 10))
    assert (measured.status, measured.reason) == (NOT_RUN, "there is no docker command")
