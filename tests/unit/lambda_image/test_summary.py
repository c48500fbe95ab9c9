import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.data.distribution_parts import DistributionParts
from lambda_image.data.distributions import SCORES
from lambda_image.data.predictions import Predictions
from lambda_image.data.tally import RowTally
from lambda_image.errors import MAX_MESSAGE
from lambda_image.manifest import Slice
from lambda_image.statistics import Statistics
from lambda_image.summary import Failure, Judgement, message_of
from tests.unit.lambda_image.judged import summarise
from tests.unit.lambda_image.test_results import manifest, record


def predictions(count: int) -> Predictions:
    z = np.linspace(0.05, 0.2, count)
    return Predictions.of_partition("d/0.pt", 0, np.zeros((count, 5)), z + 0.01, z)


def test_partitions_are_counted_once_however_many_ranks_have_rows_of_them():
    judgement = Judgement()
    nothing = {**record(0), "predictions": {**record(0)["predictions"], "rows": 0}}
    failed = {**nothing, "error": "no", "empty_partitions": ["d/4"]}
    one, two, three, four, five, six = (Slice(f"d/{number}") for number in range(1, 7))
    judgement.add([one, two], nothing, Statistics())
    judgement.add([two], failed, Statistics())
    judgement.add([two, three, four, five], failed, Statistics(), finished=["d/5"])
    judgement.add([six], None, Statistics())
    summary = judgement.summary(
        manifest()[0], [], predictions="predictions/", tolerated_failures=0, wall_s=5.0, memory_size_mb=512
    )
    assert (summary.partitions, summary.partitions_completed) == (6, 4)
    assert summary.to_json()["predictions"] == "predictions/"


def test_the_seconds_that_ranks_waited_for_each_other_are_added_up():
    earlier, ours = record(0, transport="self"), record(1)
    earlier["phases"] = {name: 0.0 for name in earlier["phases"] if name != "wait_s"} | {"gather_s": 3.0}
    ours["phases"] = {**ours["phases"], "gather_s": 5.0, "wait_s": 0.5}
    assert summarise(manifest(), [earlier, ours], predictions(20)).waiting_s == 3.5


def test_a_complete_run():
    records = [record(0, transport="self"), record(1)]
    summary = summarise(manifest(), records, predictions(20), warnings=["w"])
    content = summary.to_json()
    assert (content["status"], content["gathered"]) == ("succeeded", True)
    assert content["transports"] == {"direct": 1, "self": 1}
    assert (content["samples"], content["samples_with_truth"], content["samples_per_s"]) == (20, 20, 4.0)
    assert (content["partitions"], content["partitions_completed"]) == (2, 2)
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


def test_a_run_on_arm64_is_priced_so_and_its_own_weights_are_named():
    def with_changes(**changes: object):
        records = [{**record(0, transport="self"), **changes}, {**record(1), **changes}]
        return summarise(manifest(), records, predictions(20))

    x86, arm = with_changes(architecture="x86_64"), with_changes(architecture="arm64", weights="s3://b/m, SHA-256 00")
    assert with_changes().cost == x86.cost  # records of earlier versions
    requests = 4 * 2e-7
    assert (arm.cost.lambda_usd - requests) / (x86.cost.lambda_usd - requests) == pytest.approx(0.8, rel=1e-3)
    assert arm.cost.rendezvous_usd < x86.cost.rendezvous_usd
    assert (x86.weights, arm.weights) == (None, "s3://b/m, SHA-256 00")


@pytest.mark.parametrize(("tolerated", "status"), [(0, "failed"), (1, "succeeded")])
def test_a_run_that_lost_a_rank(tolerated: int, status: str):
    lost = Failure(1, "PartitionMissing", "s3://b/d/1.pt does not exist")
    summary = summarise(
        manifest(), [record(0, transport="self")], predictions(10), [lost], tolerated_failures=tolerated
    )
    assert (summary.status, summary.gathered, summary.ranks_completed) == (status, False, 1)
    assert str(summary.failed_ranks[0]) == "rank 1: PartitionMissing: s3://b/d/1.pt does not exist"


def test_the_message_is_found_in_a_cause():
    assert message_of('{"errorMessage": "no", "errorType": "E", "stackTrace": []}') == "no"
    assert message_of("plain words") == "plain words"
    assert message_of('["a list"]') == '["a list"]'


def test_rows_that_cannot_be_judged_are_counted_over_all_ranks_and_named():
    bad = RowTally()
    bad.add("d/1.pt", np.arange(40, 44), np.array([0, 4, 5, 8], np.int32), skip=False)
    good = RowTally()
    good.add("d/0.pt", np.arange(3), np.array([0, 0, 32], np.int32), skip=False)
    records = [{**record(rank), "rows": rows.to_json()} for rank, rows in enumerate((good, bad))]
    found = predictions(20)
    found.redshift[7] = np.nan
    summary = summarise(manifest(), records, found)
    assert {name: summary.rows[name] for name in ("in", "predicted", "flagged", "skipped")} == {
        "in": 7,
        "predicted": 5,
        "flagged": 2,
        "skipped": 0,
    }
    finite, magnitude, unknown, flux = summary.warnings
    assert finite.startswith("image_not_finite in 1 of 7 galaxies, which have no prediction: ")
    assert magnitude.startswith("magnitude_bad in 2 of 7 galaxies, which have no prediction: ")
    assert magnitude.endswith("The first is row 41 of d/1.pt")
    assert unknown.startswith("redshift_unknown in 1 of 7 galaxies: ")
    assert flux.endswith("The first is row 2 of d/0.pt")
    assert (summary.samples, summary.accuracy.samples) == (20, 19)


def test_data_without_any_true_redshift_need_no_warning():
    rows = RowTally()
    rows.add("d/0.pt", np.arange(3), np.full(3, 8, np.int32), skip=False)
    records = [{**record(rank), "rows": rows.to_json()} for rank in range(2)]
    assert summarise(manifest(), records, predictions(20)).warnings == []


def test_partitions_without_galaxies_are_a_warning_that_names_them_and_are_completed():
    empty = {**record(1, samples=0), "empty_partitions": ["d/1.pt"]}
    summary = summarise(manifest(), [record(0), empty], predictions(20), warnings=["w"])
    assert summary.warnings == ["w", "1 partition holds no galaxies: d/1.pt"]
    assert (summary.partitions, summary.partitions_completed, summary.samples) == (2, 2, 20)
    empty["empty_partitions"] = [f"d/{number}.pt" for number in range(1, 13)]
    (_, warning) = summarise(manifest(), [record(0), empty], predictions(20), warnings=["w"]).warnings
    assert warning.startswith("12 partitions hold no galaxies: d/1.pt, d/2.pt")
    assert warning.endswith("d/10.pt and 2 more")


def test_a_partition_whose_rows_were_all_skipped_is_completed():
    skipped = RowTally()
    skipped.add("d/1.pt", np.arange(10), np.full(10, 1, np.int32), skip=True)
    records = [record(0), {**record(1, samples=10), "rows": skipped.to_json()}]
    assert summarise(manifest(), records, predictions(10)).partitions_completed == 2


def test_why_there_was_no_gather_is_a_warning_once():
    records = [{**record(rank, transport="storage"), "gather_error": "no server at h:1"} for rank in (0, 1)]
    assert summarise(manifest(), records, predictions(20), warnings=["w"]).warnings == [
        "w",
        "no gather: no server at h:1",
    ]


def test_a_damaged_engine_is_a_warning_that_names_the_first_rank():
    reason = "eager PyTorch predicts: engine.so is damaged"
    records = [record(0), {**record(1), "engine_damage": reason}]
    assert summarise(manifest(), records, predictions(20)).warnings == [f"rank 1: {reason}"]
    records[0]["engine_damage"] = reason
    both = summarise(manifest(), records, predictions(20)).warnings
    assert both == [f"rank 0 (and 1 more): {reason}"]


def test_an_attempt_that_was_lost_when_it_was_complete_is_a_warning_that_names_the_first_rank():
    records = [record(0), {**record(1), "adopted_by": 1}]
    said = "attempt 1 was lost after it had written its predictions. Attempt 2 took them over"
    assert summarise(manifest(), records, predictions(20)).warnings == [f"rank 1: {said}"]
    records[0]["adopted_by"] = 1
    both = summarise(manifest(), records, predictions(20)).warnings
    assert both == [f"rank 0 (and 1 more): {said}"]


def test_a_cause_that_no_state_could_hold_is_cut():
    assert len(message_of("x" * 840_000)) <= MAX_MESSAGE
    assert len(message_of(json.dumps({"errorMessage": "x" * 840_000}))) <= MAX_MESSAGE
    assert len(message_of("[" * 100_000)) <= MAX_MESSAGE


ANY = st.floats(width=32) | st.sampled_from([math.nan, math.inf, -math.inf, 1e38, -1e38, -1.0, -9999.0])


@given(st.lists(st.tuples(ANY, ANY, ANY), max_size=12), st.sampled_from([5.0, 1e-9, 0.0, -3.0]))
def test_a_summary_is_json_whatever_was_predicted_and_known(rows, wall_s: float):
    predicted, true, magnitude = np.array(rows, np.float32).reshape(-1, 3).T
    found = Predictions.of_partition("d/0.pt", 0, np.tile(magnitude[:, None], (1, 5)), predicted, true)
    text = json.dumps(summarise(manifest(), [record(0), record(1)], found, wall_s=wall_s).to_json(), allow_nan=False)
    content = json.loads(text)
    counted = content["samples_with_truth"] + content["without_truth"] + content["without_prediction"]
    assert counted == content["samples"] == len(rows)


def test_an_accuracy_that_means_nothing_is_null():
    unknown = predictions(3)
    unknown.redshift_true[:] = -1
    content = summarise(manifest(), [record(0), record(1)], unknown).to_json()
    assert (content["status"], content["without_truth"]) == ("succeeded", 3)
    for name in ("mae", "mse", "mean_error", "bias", "nmad", "sigma", "outliers_005", "outliers_015", "r2"):
        assert content[name] is None


def test_distributions_of_all_ranks_are_measured_together():
    rng, parts = np.random.default_rng(0), []
    for count in (300, 500):
        middle = rng.uniform(0.1, 0.3, count)
        part = DistributionParts()
        true = (middle + 0.02 * rng.standard_normal(count)).astype(np.float32)
        part.add((middle[:, None] + 0.02 * SCORES).astype(np.float32), true)
        parts.append(part)
    records = [{**record(rank), "distributions": {"parts": part.to_json()}} for rank, part in enumerate(parts)]
    found = summarise(manifest(), records, predictions(20)).to_json()["distributions"]
    assert (found["galaxies"], found["with_truth"], sum(found["pit"])) == (800, 800, 800)
    assert found["coverage_68"] == pytest.approx(0.68, abs=0.05)
    bare = [record(0), {**record(1), "distributions": None}]
    assert summarise(manifest(), bare, predictions(20)).distributions is None
