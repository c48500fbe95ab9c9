import json
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from lambda_image.data.distributions import LEVELS
from lambda_image.data.quality import REDSHIFTS
from lambda_image.errors import CheckpointError
from lambda_image.model import calibration as calibrating
from lambda_image.model.calibration import RedshiftCalibration, above_zero, calibration_path, features, straightened
from tests.unit.lambda_image.model.calibrations import RESIDUAL, calibration

MAGNITUDES = np.full((3, 5), 17.0, np.float32)


def test_without_a_shape_of_its_own_p_is_normal():
    found = calibration().describe(np.array([0.2, 0.3, np.nan]), MAGNITUDES)
    expected = [NormalDist(0.3, RESIDUAL).inv_cdf(level) for level in LEVELS]
    assert found.quantiles[1] == pytest.approx(expected, rel=1e-5)
    assert found.redshift_err[:2] == pytest.approx(RESIDUAL * NormalDist().inv_cdf(0.84), rel=1e-5)
    assert found.z_mode[:2] == pytest.approx([0.2, 0.3], abs=1e-4)
    assert np.isnan(found.redshift_err[2])
    assert np.isnan(found.z_mode[2])
    assert np.isnan(found.quantiles[2]).all()
    assert {array.dtype for array in found} == {np.dtype(np.float32)}


def test_place_width_and_factor_move_the_error_bars():
    found = replace(calibration((1, np.log(2), 0, 0)), factor=1.5).describe(np.array([0.3] * 3), MAGNITUDES)
    half = 2 * RESIDUAL * NormalDist().inv_cdf(0.84)
    assert found.quantiles[0, LEVELS.index(0.5)] == pytest.approx(0.3 + RESIDUAL, rel=1e-5)
    assert found.redshift_err[0] == pytest.approx(1.5 * np.hypot(half, RESIDUAL), rel=1e-4)


@pytest.mark.parametrize("shape", [(0, 0, 0.8, 0), (0, 0, -0.8, 0.3), (0, 0, 0.4, -0.4), (0, 0, 0, 0)])
def test_the_mode_is_where_the_density_is_highest(shape: tuple[float, float, float, float]):
    found = calibration(shape).describe(np.array([0.3] * 3), MAGNITUDES).z_mode[0]
    t = np.linspace(-4, 4, 200_001)
    z = 0.3 + RESIDUAL * np.sinh((np.arcsinh(t) + shape[2]) / np.exp(shape[3]))
    density = np.exp(-t * t / 2) / np.gradient(z, t)
    assert found == pytest.approx(z[density.argmax()], abs=0.01 * RESIDUAL)


def test_no_quantile_falls_to_zero_and_all_ascend():
    found = calibration().describe(np.array([-0.01, 0.0, 0.03]), MAGNITUDES).quantiles
    assert (found > 0).all()
    assert (np.diff(found, axis=1) > 0).all()
    narrow = calibration((0, -5, 0, 0))
    tiny = replace(narrow, residual=1e-9).describe(np.array([5.0] * 3), MAGNITUDES).quantiles
    assert (np.diff(tiny, axis=1) > 0).all()


def test_an_implausible_prediction_has_the_distribution_of_the_nearest_plausible_one():
    """Far below 0 its quantiles would be so near to 0 that one galaxy decided the CDE loss of a million."""
    found = calibration().describe(np.array([-50, 1e4, 0.5]), MAGNITUDES)
    nearest = calibration().describe(np.array([*REDSHIFTS, 0.5]), MAGNITUDES)
    assert (found.quantiles == nearest.quantiles).all()
    assert (found.z_mode == nearest.z_mode).all()
    assert found.redshift_err == pytest.approx([50, 1e4 - 20, nearest.redshift_err[2]], rel=1e-2)


def test_the_scale_near_zero_is_left_as_it_was_entered():
    z = np.linspace(calibrating.LEAST, 0.4, 1000)
    assert above_zero(straightened(z)) == pytest.approx(z)
    assert (np.diff(above_zero(np.linspace(-2, 1, 1000))) > 0).all()


def test_galaxies_beyond_those_of_the_fit_count_as_there():
    one = calibration()
    layers = [(np.eye(6, 4), np.zeros(4))]
    one = replace(one, layers=layers, low=np.full(6, 0.0), high=np.full(6, 0.1))
    inside, beyond = (one.describe(np.array([z]), np.zeros((1, 5))) for z in (0.1, 0.5))
    assert beyond.redshift_err == pytest.approx(inside.redshift_err, rel=1e-4)


def test_many_galaxies_are_described_as_few_are():
    rng = np.random.default_rng(0)
    z, magnitudes = rng.uniform(0.05, 0.3, 20_000), 17 + rng.standard_normal((20_000, 5))
    one = replace(calibration(), layers=[(0.1 * rng.standard_normal((6, 4)), np.zeros(4))])
    whole = one.describe(z, magnitudes)
    part = one.describe(z[15_000:15_010], magnitudes[15_000:15_010])
    for array, some in zip(whole, part, strict=True):
        assert array[15_000:15_010] == pytest.approx(some, rel=1e-5)


def test_features_are_redshift_magnitude_and_colours():
    found = features(np.array([0.1]), np.array([[19.0, 18, 17, 16.5, 16.25]]))
    assert found.tolist() == [[0.1, 17, 1, 1, 0.5, 0.25]]
    assert features(np.array([0.1, 0.2]), np.empty((2, 0))).tolist() == [[0.1], [0.2]]


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\[N\] and \[N, 5\] are needed"):
        calibration().describe(np.zeros(3), np.zeros((3, 4)))


def test_what_was_written_is_read(tmp_path: Path):
    path, one = tmp_path / "x.calibration.json", replace(calibration((1, 0.1, 0.2, 0.3)), made={"fitted": 300})
    one.write(path)
    found = RedshiftCalibration.read(path)
    assert (found.weights_sha256, found.made) == (one.weights_sha256, {"fitted": 300})
    z = np.array([0.1, 0.2, 0.3])
    for array, other in zip(one.describe(z, MAGNITUDES), found.describe(z, MAGNITUDES), strict=True):
        assert array == pytest.approx(other, rel=1e-5)


@pytest.mark.parametrize(
    "damage",
    [
        {"format": "other"},
        {"scores": [0] * 11},
        {"scores": None},
        {"low": [1, 2]},
        {"layers": [[[[0] * 4] * 5, [0] * 4]]},
        {"layers": []},
        {"scale": [0] * 6},
        {"residual": 0},
        {"factor": float("nan")},
        {"unknown": 1},
    ],
)
def test_what_is_damaged_is_refused_by_name(tmp_path: Path, damage: dict):
    path = tmp_path / "x.calibration.json"
    calibration().write(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **damage}))
    with pytest.raises(CheckpointError, match=r"x\.calibration\.json cannot be used .*cosmicai calibrate"):
        RedshiftCalibration.read(path)


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"format": "cosmicai.calibration.1"}'])
def test_what_is_no_calibration_is_refused(tmp_path: Path, content: str):
    (tmp_path / "x").write_text(content)
    with pytest.raises(CheckpointError, match="cannot be used"):
        RedshiftCalibration.read(tmp_path / "x")


def test_it_lies_beside_the_weights():
    assert calibration_path(Path("a/redshift.safetensors")) == Path("a/redshift.calibration.json")
    assert calibration_path(Path("mine.v2.pt")) == Path("mine.v2.calibration.json")
