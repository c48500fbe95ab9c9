import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lambda_image.errors import CheckpointError
from lambda_image.model import checkpoint, engine_builder, folding
from lambda_image.model.architecture import ModelConfig
from lambda_image.model.eager import Eager
from lambda_image.model.engine_files import folder_of, weights_of
from lambda_image.model.fast import Fast

ROOT = Path(__file__).resolve().parents[4]


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


def test_a_library_that_is_none_is_refused(compiled_checkpoint, tmp_path):
    shutil.copytree(folder_of(compiled_checkpoint), tmp_path / "broken")
    (tmp_path / "broken" / "engine.so").write_bytes(b"")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        Fast(tmp_path / "broken", 1)


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
