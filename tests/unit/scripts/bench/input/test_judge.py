"""The judge lets nothing pass that is wrong: each rule of its module is broken here once."""

from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest

from lambda_image.data.predictions import Predictions
from lambda_image.data.quality import Quality, judge_inputs, known_redshifts
from lambda_image.data.tally import RowTally
from lambda_image.metrics import accuracy
from lambda_image.model import SHIPPED_MODEL, checkpoint
from lambda_image.model.eager import Eager
from scripts.bench.input.judge import AS_BEFORE, CHANGED, FAILED, REFUSED, Judge
from scripts.bench.input.mutations import Mutation
from scripts.bench.input.originals import GALAXIES, originals
from scripts.bench.input.readers import content_of

ORIGINAL = originals()[0]


@pytest.fixture(scope="module")
def eager():
    return Eager(checkpoint.load(SHIPPED_MODEL), 1)


@pytest.fixture(scope="module")
def judge(eager):
    content = content_of(ORIGINAL.tensors)
    return Judge([ORIGINAL], {ORIGINAL.name: eager.predict(content.images, content.magnitudes)}, "fast")


def mutation(change: Callable[[dict], None] = lambda tensors: None) -> Mutation:
    tensors = {name: tensor.clone() for name, tensor in ORIGINAL.tensors.items()}
    change(tensors)
    return Mutation(0, "fill values", "by a test", ORIGINAL, ORIGINAL.write(tensors), None, "flag")


@pytest.fixture(scope="module")
def right(eager):
    """What a run makes of the good file."""
    content = content_of(ORIGINAL.tensors)
    z = eager.predict(content.images, content.magnitudes)
    rows = np.arange(GALAXIES)
    quality = np.zeros(GALAXIES, np.int32)
    return Predictions.of_partition(
        "d/1", rows, content.magnitudes, z, content.redshifts, quality=quality, columns=content.columns
    )


def answer(table: Predictions) -> dict:
    tally = RowTally()
    tally.add("d/1", table.row, table.quality, skip=False)
    return {"rows": tally.to_json(), "accuracy": asdict(accuracy(table.redshift, table.redshift_true))}


def judged(judge: Judge, given: Mutation, table: Predictions, **changes: object):
    return judge.verdict(given, {**answer(table), **changes}, table.to_parquet())


def changed(table: Predictions, name: str, place: object, value: object) -> Predictions:
    values = getattr(table, name).copy()
    values[place] = value
    return replace(table, **{name: values})


def test_what_is_right_passes(judge, right):
    verdict = judged(judge, mutation(), right)
    assert (verdict.outcome, verdict.problems) == (AS_BEFORE, [])
    assert verdict.rows["unchanged"] == GALAXIES


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda t: changed(t, "redshift", 3, np.nextafter(t.redshift[3], np.float32(9))), "row 3 has not changed"),
        (lambda t: changed(t, "redshift", 3, np.nan), "row 3 has no prediction"),
        (lambda t: t.where(np.arange(GALAXIES) != 3), "11 rows instead of 12"),
        (lambda t: changed(t, "row", [3, 4], [4, 3]), "row is not what"),
        (lambda t: changed(t, "magnitudes", (3, 4), 17.0), "magnitudes is not what"),
        (lambda t: changed(t, "redshift_true", 3, 0.2), "redshift_true is not what"),
        (lambda t: changed(t, "quality", 3, 8), "row 3 has a wrong flag"),
        (lambda t: replace(t, columns={**t.columns, "objid": t.columns["objid"][::-1]}), "objid is not what"),
        (lambda t: replace(t, columns={**t.columns, "objid": t.columns["objid"].astype(float)}), "objid is not what"),
        (lambda t: replace(t, columns={**t.columns, "more": t.columns["objid"]}), "columns that the file lacks"),
    ],
)
def test_a_wrong_row_fails(judge, right, spoil, problem):
    verdict = judged(judge, mutation(), spoil(right))
    assert verdict.outcome == FAILED
    assert any(problem in said for said in verdict.problems), verdict.problems


def test_counts_that_lose_or_invent_a_row_fail(judge, right):
    for key in ("in", "predicted", "flagged", "skipped"):
        rows = answer(right)["rows"]
        assert judged(judge, mutation(), right, rows={**rows, key: rows[key] + 1}).outcome == FAILED
    measures = answer(right)["accuracy"]
    assert judged(judge, mutation(), right, accuracy={**measures, "mae": 2 * measures["mae"]}).outcome == FAILED
    assert judged(judge, mutation(), right, accuracy={**measures, "samples": 11}).outcome == FAILED


def test_a_placeholder_needs_its_flag_and_no_prediction(judge, right):
    def spoil(tensors):
        tensors["magnitudes"][3, 4] = -9999

    content = content_of({**ORIGINAL.tensors})
    magnitudes = content.magnitudes.copy()
    magnitudes[3, 4] = -9999
    table = replace(right, magnitudes=magnitudes)
    verdict = judged(judge, mutation(spoil), table)
    assert (verdict.outcome, "row 3 has a prediction" in verdict.problems[0]) == (FAILED, True)
    nulled = changed(table, "redshift", 3, np.nan)
    assert "row 3 has no flag" in judged(judge, mutation(spoil), nulled).problems[0]
    flagged = changed(nulled, "quality", 3, Quality.MAGNITUDE_BAD)
    verdict = judged(judge, mutation(spoil), flagged)
    assert (verdict.outcome, verdict.problems, verdict.rows["changed, without a prediction"]) == (CHANGED, [], 1)


def test_a_changed_row_must_have_the_prediction_of_its_new_values(judge, eager, right):
    def spoil(tensors):
        tensors["images"][5] *= 1.01

    images = content_of(ORIGINAL.tensors).images.copy()
    images[5] *= np.float32(1.01)
    z = right.redshift.copy()
    z[5] = eager.predict(images[5:6], right.magnitudes[5:6])[0]
    verdict = judged(judge, mutation(spoil), replace(right, redshift=z))
    assert (verdict.outcome, verdict.problems, verdict.rows["changed, plausible"]) == (CHANGED, [], 1)
    assert (
        "row 5 is predicted" in judged(judge, mutation(spoil), changed(right, "redshift", 5, z[5] + 0.01)).problems[0]
    )


def test_a_prediction_that_is_no_redshift_needs_a_flag(judge, eager, right):
    def spoil(tensors):
        tensors["images"][5] = 0
        tensors["images"][5, 2] = 300

    content = content_of(mutated := {**ORIGINAL.tensors, "images": ORIGINAL.tensors["images"].clone()})
    spoil(mutated)
    content = content_of(mutated)
    z = eager.predict(content.images, content.magnitudes)
    z[np.arange(GALAXIES) != 5] = right.redshift[np.arange(GALAXIES) != 5]
    assert not known_redshifts(z)[5]
    assert judge_inputs(content.images, content.magnitudes)[5] in (0, Quality.FLUX_CONTRADICTS)
    table = replace(right, redshift=z)
    assert "no flag says so" in judged(judge, mutation(spoil), table).problems[0]
    flagged = changed(table, "quality", 5, Quality.PREDICTION_IMPLAUSIBLE)
    assert judged(judge, mutation(spoil), flagged).problems == []


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (f"/x/{ORIGINAL.name}: it ends at byte 3: fetch it again", None),
        (f"/x/{ORIGINAL.name}: it ends at byte 3", "names no remedy"),
        ("it ends at byte 3: fetch it again", "does not name the file"),
        (f"/x/{ORIGINAL.name}: it ends\nat byte 3: fetch it again", "not one line"),
        (f"/x/{ORIGINAL.name}: it ends at \x1b[2J: fetch it again", "not one line"),
    ],
)
def test_a_refusal_is_one_line_that_names_the_file_and_the_remedy(judge, message, problem):
    verdict = judge.verdict(mutation(), {"refused": "PartitionMalformed", "message": message}, None)
    assert verdict.outcome == (FAILED if problem else REFUSED)
    assert problem is None or problem in verdict.problems[0]


def test_a_traceback_fails(judge):
    assert judge.verdict(mutation(), {"traceback": "Traceback ...\nKeyError: 1"}, None).outcome == FAILED


def test_a_stream_and_a_mapped_file_must_agree(judge, right):
    assert judged(judge, mutation(), right, whole="same").outcome == AS_BEFORE
    for whole in ("different", "refused"):
        assert judged(judge, mutation(), right, whole=whole).outcome == FAILED
