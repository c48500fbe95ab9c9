import numpy as np

from lambda_image.model.folding import chain, panels, quantise


def test_a_chain_of_two_layers_is_one():
    rng = np.random.default_rng(0)
    first, second = ((rng.random((n, m)), rng.random(n)) for n, m in ((4, 3), (2, 4)))
    x = rng.random(3)
    weight, bias = chain(first, second)
    np.testing.assert_allclose(weight @ x + bias, second[0] @ (first[0] @ x + first[1]) + second[1])


def test_panels_hold_columns_side_by_side_and_are_filled_up_with_zeros():
    weight = np.arange(10.0).reshape(5, 2)  # [out, in]
    packed = panels(weight, 3)
    assert packed.shape == (2, 2, 3)
    np.testing.assert_array_equal(packed[0], weight[:3].T)
    np.testing.assert_array_equal(packed[1], [[6, 8, 0], [7, 9, 0]])


def test_bytes_are_within_half_a_step_of_the_weights():
    weight = np.random.default_rng(0).standard_normal((3, 8))
    weight[1] = 0
    whole, scale, sums = quantise((weight, np.zeros(3)))
    assert whole.dtype == np.int8
    assert (np.abs(whole * scale[:, None] - weight) <= scale[:, None] / 2 + 1e-12).all()
    np.testing.assert_array_equal(sums, whole.astype(int).sum(axis=1))
