import numpy as np
import pytest

from lambda_image.data.sizes import Sizes
from lambda_image.model.inputs import as_inputs

IMAGES, MAGNITUDES = np.ones((3, 5, 32, 32), np.float32), np.ones((3, 5), np.float32)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", "int16", "uint8"])
def test_any_type_of_real_numbers_becomes_float32(dtype: str):
    for array in as_inputs(IMAGES.astype(dtype), MAGNITUDES.astype(dtype)):
        assert array.dtype == np.float32
        assert array.dtype.isnative
        assert (array == 1).all()


def test_what_fits_already_is_not_copied():
    images, magnitudes = as_inputs(IMAGES, MAGNITUDES)
    assert images is IMAGES
    assert magnitudes is MAGNITUDES


def test_views_become_contiguous():
    images, magnitudes = as_inputs(IMAGES[::-1], MAGNITUDES[::-1])
    assert images.flags.c_contiguous
    assert magnitudes.flags.c_contiguous


def test_lists_will_do():
    assert as_inputs(IMAGES.tolist(), MAGNITUDES.tolist())[0].shape == IMAGES.shape


@pytest.mark.parametrize(
    ("images", "magnitudes"),
    [
        ((3, 64, 64, 5), (3, 5)),
        ((3, 5, 32, 31), (3, 5)),
        ((5, 32, 32), (5,)),
        ((3, 5, 32, 32), (2, 5)),
        ((3, 5, 32, 32), (3, 4)),
        ((3, 5, 32, 32), (3,)),
        ((), ()),
    ],
)
def test_shapes_that_do_not_fit_are_named_in_one_line(images: tuple[int, ...], magnitudes: tuple[int, ...]):
    with pytest.raises(ValueError) as refused:
        as_inputs(np.ones(images), np.ones(magnitudes))
    assert str(refused.value) == (
        f"images have the shape {list(images)} and magnitudes {list(magnitudes)}; [N, 5, 32, 32] and [N, 5] are needed"
    )


@pytest.mark.parametrize("dtype", [np.complex64, np.bool_, object, "U1"])
def test_values_that_are_no_real_numbers_are_named(dtype):
    with pytest.raises(ValueError, match=r"images are .*; real numbers are needed"):
        as_inputs(IMAGES.astype(dtype), MAGNITUDES)


def test_a_network_of_other_sizes_takes_others():
    images, _ = as_inputs(np.ones((2, 3, 16, 16)), np.ones((2, 3)), Sizes(3, 16, 3))
    assert images.shape == (2, 3, 16, 16)


def test_a_network_without_magnitudes_does_not_look_at_them():
    images, magnitudes = as_inputs(np.ones((2, 3, 16, 16)), np.array([["none"]]), Sizes(3, 16, 0))
    assert (images.shape, magnitudes.shape) == ((2, 3, 16, 16), (2, 0))
