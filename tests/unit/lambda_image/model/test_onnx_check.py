import numpy as np
import pytest

from lambda_image.data.sizes import Sizes
from lambda_image.model.onnx_check import BATCHES, batch_problem

SIZES = Sizes(2, 4, 3)


def sound(images, magnitudes):
    return [images.sum(axis=(1, 2, 3)) + magnitudes.sum(axis=1)]


def test_a_network_that_answers_for_each_galaxy_alone_has_no_problem():
    asked = []

    def answer(images, magnitudes):
        asked.append((images.shape, magnitudes.shape, images.dtype, magnitudes.dtype))
        return sound(images, magnitudes)

    assert batch_problem(answer, SIZES) is None
    assert asked == [((count, 2, 4, 4), (count, 3), np.float32, np.float32) for count in BATCHES]


def test_rounding_of_another_order_of_sums_is_no_problem():
    def rounded(images, magnitudes):
        return [answers * np.float32(1 + 1e-5 * (len(images) > 7)) for answers in sound(images, magnitudes)]

    assert batch_problem(rounded, SIZES) is None


@pytest.mark.parametrize(
    "other",
    [
        lambda answers: answers - answers.mean(),
        lambda answers: answers[::-1],
        lambda answers: answers + (len(answers) > 7) * 0.05,
        lambda answers: np.full_like(answers, answers.max()),
    ],
)
@pytest.mark.parametrize("second", [True, False])
def test_answers_that_depend_on_the_batch_are_a_problem(other, second):
    def answer(images, magnitudes):
        (answers,) = sound(images, magnitudes)
        answers = answers / 100
        return [answers, other(answers)] if second else [other(answers)]

    found = batch_problem(answer, SIZES)
    assert found is not None
    assert "depends on the others in its batch" in found


def test_a_network_that_draws_lots_is_found_out():
    rng = np.random.default_rng(0)
    found = batch_problem(lambda images, magnitudes: [rng.random(len(images))], SIZES)
    assert found is not None
    assert "depends on the others" in found


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_answer_that_is_no_number_is_a_problem(value):
    def answer(images, magnitudes):
        (answers,) = sound(images, magnitudes)
        answers[len(answers) // 2] = value
        return [answers]

    assert batch_problem(answer, SIZES) == f"it answers {value} of a galaxy that is sound"


def test_of_large_galaxies_a_batch_has_fewer():
    counts = []

    def answer(images, magnitudes):
        counts.append(len(images))
        return [np.zeros(len(images), np.float32)]

    assert batch_problem(answer, Sizes(1, 16, 0), max_values=32 * 256) is None
    assert counts == [1, 7, 32]
