import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.data.predictions import Predictions
from lambda_image.summary import Failure, message_of, summarise
from tests.unit.lambda_image.test_results import manifest, record


def predictions(count: int) -> Predictions:
    z = np.linspace(0.05, 0.2, count)
    return Predictions.of_partition("d/0.pt", 0, np.zeros((count, 5)), z + 0.01, z)


def test_a_complete_run():
    records = [record(0, transport="self"), record(1)]
    summary = summarise(
        manifest(), records, predictions(20), [], tolerated_failures=0, wall_s=5.0, memory_size_mb=512, warnings=["w"]
    )
    content = summary.to_json()
    assert (content["status"], content["gathered"]) == ("succeeded", True)
    assert content["transports"] == {"direct": 1, "self": 1}
    assert (content["samples"], content["samples_with_truth"], content["samples_per_s"]) == (20, 20, 4.0)
    assert (content["partitions"], content["partitions_completed"]) == (2, 1)
    assert content["mae"] == content["mean_error"] == pytest.approx(0.01, rel=1e-4)
    z = np.linspace(0.05, 0.2, 20)
    assert content["bias"] == pytest.approx((0.01 / (1 + z)).mean(), rel=1e-4)  # as published: of Δz/(1+z)
    assert content["sigma"] == pytest.approx((0.01 / (1 + z)).std(), rel=1e-3)
    assert (content["outliers_005"], content["outliers_015"]) == (0, 0)
    assert (content["without_truth"], content["without_prediction"]) == (0, 0)
    assert content["bits_per_s"] == sum(r["bits"] for r in records) / 5
    assert content["cost_usd"] == content["cost"]["total_usd"] > 0
    assert content["warnings"] == ["w"]
    json.dumps(content, allow_nan=False)


@pytest.mark.parametrize(("tolerated", "status"), [(0, "failed"), (1, "succeeded")])
def test_a_run_that_lost_a_rank(tolerated: int, status: str):
    lost = Failure(1, "PartitionMissing", "s3://b/d/1.pt does not exist")
    summary = summarise(
        manifest(),
        [record(0, transport="self")],
        predictions(10),
        [lost],
        tolerated_failures=tolerated,
        wall_s=5.0,
        memory_size_mb=512,
    )
    assert (summary.status, summary.gathered, summary.ranks_completed) == (status, False, 1)
    assert str(summary.failed_ranks[0]) == "rank 1: PartitionMissing: s3://b/d/1.pt does not exist"


def test_the_message_is_found_in_a_cause():
    assert message_of('{"errorMessage": "no", "errorType": "E", "stackTrace": []}') == "no"
    assert message_of("plain words") == "plain words"
    assert message_of('["a list"]') == '["a list"]'


def test_a_magnitude_that_stands_for_a_missing_one_is_a_warning_and_keeps_its_row():
    found = predictions(20)
    found.magnitudes[7, 2] = -9999
    given = {"tolerated_failures": 0, "wall_s": 5.0, "memory_size_mb": 512}
    summary = summarise(manifest(), [record(0), record(1)], found, [], **given)
    (warning,) = summary.warnings
    assert "outside 0 to 40 in 1 of 20 galaxies" in warning
    assert warning.endswith(f"row {found.row[7]} of {found.source[7]}")
    assert summary.samples == summary.accuracy.samples == 20


def test_why_there_was_no_gather_is_a_warning_once():
    records = [{**record(rank, transport="storage"), "gather_error": "no server at h:1"} for rank in (0, 1)]
    given = {"tolerated_failures": 0, "wall_s": 5.0, "memory_size_mb": 512, "warnings": ["w"]}
    assert summarise(manifest(), records, predictions(20), [], **given).warnings == ["w", "no gather: no server at h:1"]


ANY = st.floats(width=32) | st.sampled_from([math.nan, math.inf, -math.inf, 1e38, -1e38, -1.0, -9999.0])


@given(st.lists(st.tuples(ANY, ANY, ANY), max_size=12), st.sampled_from([5.0, 1e-9, 0.0, -3.0]))
def test_a_summary_is_json_whatever_was_predicted_and_known(rows, wall_s: float):
    predicted, true, magnitude = np.array(rows, np.float32).reshape(-1, 3).T
    found = Predictions.of_partition("d/0.pt", 0, np.tile(magnitude[:, None], (1, 5)), predicted, true)
    given = {"tolerated_failures": 0, "wall_s": wall_s, "memory_size_mb": 512}
    text = json.dumps(summarise(manifest(), [record(0), record(1)], found, [], **given).to_json(), allow_nan=False)
    content = json.loads(text)
    counted = content["samples_with_truth"] + content["without_truth"] + content["without_prediction"]
    assert counted == content["samples"] == len(rows)


def test_an_accuracy_that_means_nothing_is_null():
    unknown = predictions(3)
    unknown.redshift_true[:] = -1
    given = {"tolerated_failures": 0, "wall_s": 5.0, "memory_size_mb": 512}
    content = summarise(manifest(), [record(0), record(1)], unknown, [], **given).to_json()
    assert (content["status"], content["without_truth"]) == ("succeeded", 3)
    for name in ("mae", "mse", "mean_error", "bias", "nmad", "sigma", "outliers_005", "outliers_015", "r2"):
        assert content[name] is None
