"""S3 does what it is asked, and its answer is lost. The client asks once more, and meets what it has done itself."""

from pathlib import Path

import pytest

from tests.faults.bed import EACH, RANKS, bed
from tests.faults.faulty_s3 import SickS3


@pytest.mark.timeout(240)
def test_answers_to_writes_that_are_lost_cost_nothing(tmp_path: Path):
    with bed(tmp_path) as system:
        system.reset()
        lost = SickS3("PUT", "", lost=True, every=2)  # the manifest's is the second of a run
        system.storage.faults.append(lost)
        run = system.run()
    assert (run.status, run.samples) == ("SUCCEEDED", RANKS * EACH), run.said
    assert run.predictions is not None
    assert system.wrong(run.predictions) == []
    assert lost.met > RANKS
