import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lambda_image.accuracy_parts import AccuracyParts
from lambda_image.delta_sketch import LARGEST, OFFSET
from lambda_image.metrics import Accuracy, accuracy

REDSHIFT = st.one_of(
    st.floats(-1, 4, width=32), st.floats(width=32), st.sampled_from([math.nan, -1.0, -9999.0, 0.0, math.inf])
)


@st.composite
def galaxies(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true redshifts of the same galaxies."""
    count = draw(st.integers(0, 40))
    of = arrays.arrays(np.float32, count, elements=REDSHIFT)
    return draw(of), draw(of)


def parts(z: np.ndarray, z_true: np.ndarray, *cuts: int) -> AccuracyParts:
    whole = AccuracyParts()
    for some, true in zip(np.split(z, cuts), np.split(z_true, cuts), strict=True):
        part = AccuracyParts()
        part.add(some, true)
        whole.merge(part)
    return whole


def assert_alike(found: Accuracy, wanted: Accuracy, median: float) -> None:
    measures, others = asdict(found), asdict(wanted)
    mad, exact = measures.pop("nmad"), others.pop("nmad")
    for name, other in others.items():
        assert measures[name] == (None if other is None else pytest.approx(other, rel=1e-6, abs=1e-12))
    if mad is None:
        assert exact is None or abs(median) + exact > 1e5
    else:
        assert abs(mad - exact) <= 1.001 * 2**-14 * (1.4826 * (abs(median) + OFFSET) + exact)


@given(galaxies(), st.integers(0, 40))
@example((np.float32([LARGEST + 49, -LARGEST - 49, np.nan, 0, 0]), np.zeros(5, np.float32)), 0)
def test_parts_give_what_all_galaxies_give_to_the_stated_error(given_: tuple[np.ndarray, np.ndarray], cut: int):
    z, z_true = given_
    wanted, found = accuracy(z, z_true), parts(z, z_true, min(cut, len(z))).accuracy()
    known = np.isfinite(z) & (z_true >= -0.1) & (z_true <= 20)
    delta = (z[known].astype(float) - z_true[known]) / (1.0 + z_true[known])
    if wanted.sigma is not None and wanted.sigma < 1e-7 * abs(wanted.bias or 0):
        return  # numpy's own rounding is as large as what it measures; the next test has that case
    if wanted.r2 is not None and (known.any() and z_true[known].std() < 1e-6):
        return
    assert_alike(found, wanted, float(np.median(delta)) if len(delta) else 0.0)


def test_equal_galaxies_have_neither_spread_nor_r2():
    z = np.full(1000, 0.1, np.float32)
    found = parts(z, z + np.float32(0.05), 300).accuracy()
    assert (found.sigma, found.r2, found.nmad) == (0.0, None, 0.0)


@given(galaxies(), st.integers(0, 40), st.randoms(use_true_random=False))
def test_order_and_way_change_no_bit(given_: tuple[np.ndarray, np.ndarray], cut: int, random):
    z, z_true = given_
    order = np.array(random.sample(range(len(z)), len(z)), np.int64)
    whole, read = parts(z, z_true), AccuracyParts()
    for some in (order[cut:], order[:cut]):
        text = json.dumps(parts(z[some], z_true[some]).to_json(), allow_nan=False)
        read.merge(AccuracyParts.from_json(json.loads(text)))
    assert read.to_json() == whole.to_json()
    assert read.accuracy() == whole.accuracy()


@pytest.mark.parametrize("lost", ["samples", "sums", "sketch", "outliers_005", "without_truth"])
@pytest.mark.parametrize("instead", [None, "x", {}, [], 7.5])
def test_what_is_none_is_refused(lost: str, instead: object):
    z = np.array([0.1, 0.2], np.float32)
    damaged = {**parts(z, z).to_json(), lost: instead}
    if instead is None:
        del damaged[lost]
    if lost != "sketch" and lost != "sums" and instead == 7.5:
        damaged[lost] = "7.5"
    with pytest.raises(ValueError):
        AccuracyParts.from_json(damaged)


def test_a_survey_of_a_hundred_thousand_galaxies_in_parts():
    random = np.random.default_rng(3)
    z_true = random.gamma(2, 0.1, 100_000).astype(np.float32)
    z = (z_true + 0.02 * (1 + z_true) * random.standard_t(3, len(z_true))).astype(np.float32)
    wanted, found = accuracy(z, z_true), parts(z, z_true, 7, 40_000, 40_001).accuracy()
    assert found.nmad == pytest.approx(wanted.nmad, rel=1e-3)
    assert_alike(found, wanted, 0.0)
