from pathlib import Path

import pytest

from scripts.aws_endpoint import AwsEndpoint
from scripts.progress import RunProgress
from scripts.runs.place import Place
from scripts.sweep.configuration import Configuration
from scripts.sweep.folder import NOT_RUN
from scripts.sweep.measure import Measurer


@pytest.mark.parametrize(
    ("configuration", "why"),
    [
        (Configuration(129, 8, 10), "one machine runs at most 128 ranks"),
        (Configuration(1, 8, 10, memory_mb=128), "the processes of one machine have no limit of memory"),
        (Configuration(1, 8, 10**12), "the data need 41"),
    ],
)
def test_what_cannot_be_made_here_is_a_row_with_its_reason(configuration: Configuration, why: str, tmp_path: Path):
    endpoint = AwsEndpoint("http://127.0.0.1:9")  # which is never asked
    place = Place("here", endpoint.client, "r", "arn", "bucket", local=endpoint)
    with (tmp_path / "out").open("w") as out, Measurer(place, RunProgress(out, [])) as measurer:
        measured = measurer.run(configuration)
    assert (measured.status, measured.summary) == (NOT_RUN, None)
    assert str(measured.reason).startswith(why)
