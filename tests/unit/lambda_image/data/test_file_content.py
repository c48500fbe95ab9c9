import numpy as np
import torch

from lambda_image.data.file_content import widen_bfloat16


def test_every_bfloat16_becomes_the_float32_of_the_same_value() -> None:
    stored = np.arange(2**16, dtype=np.uint16)
    expected = torch.from_numpy(stored.view(np.int16)).view(torch.bfloat16).float().numpy()
    widened = widen_bfloat16(stored)
    assert widened.dtype == np.float32
    np.testing.assert_array_equal(widened.view(np.uint32), expected.view(np.uint32))
    assert widen_bfloat16(stored[:6].reshape(2, 3)).shape == (2, 3)
