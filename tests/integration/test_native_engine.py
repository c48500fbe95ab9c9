"""The compiled engine: what the compiler makes of native/ answers as PyTorch and the reference do."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lambda_image.errors import CheckpointError
from lambda_image.model import checkpoint, engine, engine_builder, folding
from lambda_image.model.architecture import ModelConfig
from lambda_image.model.eager import Eager
from lambda_image.model.engine_check import Reference, Sample
from lambda_image.model.engine_files import MAX_DIFFERENCE, folder_of, weights_of
from lambda_image.model.fast import Fast

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def answers(compiled_checkpoint, seeded_model):
    """Of all the galaxies, in order and by one thread."""
    return Fast(folder_of(compiled_checkpoint), 1).predict(seeded_model.images, seeded_model.magnitudes)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 65, 150])
def test_a_galaxys_answer_depends_on_nothing_beside_it(compiled_checkpoint, seeded_model, answers, count, threads):
    """Neither on its place, nor on the batch's size, nor on the threads that share it."""
    chosen = np.arange(count) * 11 % len(seeded_model.images)
    fast = Fast(folder_of(compiled_checkpoint), threads)
    of_chosen = fast.predict(seeded_model.images[chosen], seeded_model.magnitudes[chosen])
    np.testing.assert_array_equal(of_chosen, answers[chosen])


def test_weights_of_another_size_are_refused(compiled_checkpoint, tmp_path):
    shutil.copytree(folder_of(compiled_checkpoint), tmp_path / "broken")
    with (tmp_path / "broken" / "float32.weights").open("r+b") as file:
        file.truncate(4096)
    with pytest.raises(CheckpointError, match="holds 1,024 floats"):
        Fast(tmp_path / "broken", 1)


def test_bytes_answer_nearly_the_same(compiled_checkpoint, seeded_model, tmp_path):
    """Weights as these, random ones, make the most of an error: a twentieth of the answers' own spread."""
    folder = tmp_path / "int8.compiled"
    shutil.copytree(folder_of(compiled_checkpoint), folder)
    folding.pack(seeded_model.tensors, ModelConfig(), "int8").tofile(weights_of(folder, "int8"))
    truth = Fast(folder, 1).predict(seeded_model.images, seeded_model.magnitudes)
    for name in engine_builder.runnable_sets(folder):
        fast = Fast(folder, 2, precision="int8", instruction_set=name)
        difference = np.abs(fast.predict(seeded_model.images, seeded_model.magnitudes) - truth)
        assert 1e-6 < difference.mean() < truth.std() / 20, name


def test_predicts_without_pytorch(compiled_checkpoint):
    code = (
        "import sys, numpy as np; from pathlib import Path; from lambda_image.model import engine;"
        "arrays = [np.ones(shape, np.float32) for shape in ((1, 5, 32, 32), (1, 5))];"
        "answer = engine.load(Path(sys.argv[1]), 1, 'fast').predict(*arrays);"
        "print(len(answer), *sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, str(compiled_checkpoint)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    count, *modules = answer.stdout.split()
    assert count == "1"
    assert "torch" not in modules


def test_what_is_not_finite_gets_no_number_from_any_engine(compiled_checkpoint, seeded_model, tmp_path):
    """Where PyTorch answers NaN the compiled engine does, at every precision and by every instruction set."""
    folder = tmp_path / "int8.compiled"
    shutil.copytree(folder_of(compiled_checkpoint), folder)
    folding.pack(seeded_model.tensors, ModelConfig(), "int8").tofile(weights_of(folder, "int8"))
    images, magnitudes = seeded_model.images.copy(), seeded_model.magnitudes.copy()
    payload = np.array([0x7FC00001, 0xFFC12345], np.uint32).view(np.float32)  # NaN comes with other bits, too
    values = [np.nan, np.inf, -np.inf, *payload, 3e38, 1e30, -1e38]
    for row, value in enumerate(values):
        images[row, row % 5, row, 31 - row] = value  # one pixel
        images[8 + row, row % 5] = value  # one band
        magnitudes[16 + row, row % 5] = value
    clean = slice(24, None)
    eager = Eager(checkpoint.load(compiled_checkpoint), 1).predict(images, magnitudes)
    assert not np.isfinite(eager[:5]).any()
    for name in engine_builder.runnable_sets(folder):
        for precision in ("float32", "int8"):
            fast = Fast(folder, 1, precision=precision, instruction_set=name)
            answers = fast.predict(images, magnitudes)
            np.testing.assert_array_equal(np.isfinite(answers), np.isfinite(eager), f"{name} {precision}")
            undisturbed = fast.predict(seeded_model.images, seeded_model.magnitudes)
            np.testing.assert_array_equal(answers[clean], undisturbed[clean])


def test_what_is_compiled_answers_as_the_reference(compiled_checkpoint, reference_model, tmp_path):
    folder = tmp_path / "reference.compiled"
    shutil.copytree(folder_of(compiled_checkpoint), folder)
    folding.pack(reference_model.tensors, ModelConfig(), "float32").tofile(weights_of(folder, "float32"))
    for name in engine_builder.runnable_sets(folder):
        answers = Fast(folder, 2, instruction_set=name).predict(reference_model.images, reference_model.magnitudes)
        assert np.abs(answers - reference_model.redshifts).max() <= reference_model.tolerance, name


def test_the_record_says_how_far_the_answers_are(compiled_checkpoint):
    check = json.loads((folder_of(compiled_checkpoint) / "engine.json").read_text())["checks"]["float32"]
    assert 0 < check["max_difference"] <= MAX_DIFFERENCE


def test_weights_that_amplify_rounding_need_a_tolerance_by_name(compiled_checkpoint, seeded_model):
    sample = Sample(seeded_model.images, seeded_model.magnitudes)
    reference = Reference(checkpoint.load(compiled_checkpoint), [sample], threads=1)
    fast = Fast(folder_of(compiled_checkpoint), 1)
    check = reference.check(fast.predict, MAX_DIFFERENCE)
    assert 0 < check.max_difference <= check.tolerance == MAX_DIFFERENCE
    with pytest.raises(CheckpointError, match=r"allowed: 1e-08.* --tolerance above") as caught:
        reference.check(fast.predict, 1e-8)
    for how_far in (check.max_difference, check.max_difference_eager, check.eager_max_difference):
        assert f"{how_far:.1e}" in str(caught.value)


def test_auto_is_the_compiled_engine_where_there_is_one(compiled_checkpoint):
    said = []
    made = engine.load(compiled_checkpoint, 1, on_fallback=said.append)
    assert isinstance(made, Fast)
    assert made.parameters_mb == pytest.approx(60.6647, abs=1e-4)
    assert not said


def test_auto_is_pytorch_elsewhere_and_says_why(compiled_checkpoint, tmp_path):
    alone = tmp_path / "alone.safetensors"
    alone.symlink_to(compiled_checkpoint)
    said = []
    assert isinstance(engine.load(alone, 1, on_fallback=said.append), Eager)
    assert "there is none in" in said[0]


def test_both_answer_the_same(compiled_checkpoint, seeded_model):
    fast, eager = (
        engine.load(compiled_checkpoint, 1, name).predict(seeded_model.images, seeded_model.magnitudes)
        for name in ("fast", "eager")
    )
    assert fast.dtype == eager.dtype == np.float32
    assert fast.shape == eager.shape == (32,)
    assert np.abs(fast - eager).max() <= 2 * seeded_model.tolerance  # either may be off by this much


@pytest.fixture(params=["fast", "eager"])
def either(request, compiled_checkpoint):
    return engine.load(compiled_checkpoint, 1, request.param)


@pytest.mark.filterwarnings("error")
def test_both_take_arrays_as_they_come(either, seeded_model):
    images, magnitudes = seeded_model.images[:8], seeded_model.magnitudes[:8]
    expected = either.predict(images, magnitudes)
    read_only = images.copy()
    read_only.flags.writeable = False
    for given in (images.astype(np.float64), images.astype(">f4"), np.repeat(images, 2, axis=0)[::2], read_only):
        np.testing.assert_array_equal(either.predict(given, magnitudes.astype(np.float64)), expected)
    np.testing.assert_allclose(either.predict(images[::-1], magnitudes[::-1])[::-1], expected, atol=1e-5)


def test_both_take_no_galaxies(either):
    answers = either.predict(np.empty((0, 5, 32, 32)), np.empty((0, 5)))
    assert (answers.shape, answers.dtype) == ((0,), np.float32)


@pytest.mark.parametrize(("images", "magnitudes"), [((2, 64, 64, 5), (2, 5)), ((2, 5, 32, 32), (3, 5))])
def test_both_refuse_other_shapes_alike(either, images, magnitudes):
    with pytest.raises(ValueError, match=r"^images have the shape .*; \[N, 5, 32, 32\] and \[N, 5\] are needed$"):
        either.predict(np.zeros(images), np.zeros(magnitudes))


@pytest.mark.parametrize("name", ["fast", "eager"])
@pytest.mark.filterwarnings("error")
def test_the_front_door_gives_no_redshift_that_means_nothing(name, compiled_checkpoint, seeded_model):
    images, magnitudes = seeded_model.images[:16].astype(np.float64), seeded_model.magnitudes[:16].astype(np.float64)
    made = engine.load_engine(compiled_checkpoint, threads=1, engine=name)
    clean = made.predict(images, magnitudes)
    np.testing.assert_array_equal(clean, engine.load(compiled_checkpoint, 1, name).predict(images, magnitudes))
    images[1, 0, 0, 0], images[3, 4, 31, 31], magnitudes[5, 2], magnitudes[7, 0] = np.nan, 1e300, -9999, 99
    bad = np.isin(np.arange(16), [1, 3, 5, 7])
    given = images.copy(), magnitudes.copy()
    redshifts = made.predict(images, magnitudes)
    assert redshifts.dtype == np.float32
    assert np.isnan(redshifts[bad]).all()
    np.testing.assert_array_equal(redshifts[~bad], clean[~bad])
    np.testing.assert_array_equal(given[0], images)  # what was given is as it was
    np.testing.assert_array_equal(given[1], magnitudes)
