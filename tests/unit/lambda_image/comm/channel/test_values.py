import json

import numpy as np
import pytest

from lambda_image.comm.channel.frames import HEADER_BYTES, FrameRefused
from lambda_image.comm.channel.values import Value, allocate, encode

ARRAYS = [
    np.arange(6.0).reshape(2, 3),
    np.arange(6, dtype=">i2").reshape(2, 3).T,
    np.zeros((2, 0), np.float32),
    np.array(3.5),
    np.array([True, False]),
    np.array(["a", "long"]),
    np.array(["2026-01-01"], "datetime64[s]"),
    np.arange(10)[::3],
]


def travel(value: Value) -> Value:
    meta, payload = encode(value)
    result, room = allocate(meta, sum(view.nbytes for view in payload))
    room[:] = b"".join(payload)
    return result


@pytest.mark.parametrize("array", [np.zeros((1,) * 20), *ARRAYS], ids=lambda array: f"{array.dtype}{array.shape}")
def test_what_precedes_the_items_of_an_array_has_a_multiple_of_64_bytes(array: np.ndarray) -> None:
    assert (HEADER_BYTES + len(encode(array)[0])) % 64 == 0


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_arrays_keep_dtype_shape_and_items(array: np.ndarray) -> None:
    result = travel(array)
    assert isinstance(result, np.ndarray)
    assert (result.dtype, result.shape) == (array.dtype, array.shape)
    assert np.array_equal(result, array)


@pytest.mark.parametrize("value", [b"", b"bytes", bytearray(b"array"), memoryview(b"view"), memoryview(np.arange(3))])
def test_bytes_arrive_as_a_bytearray(value: Value) -> None:
    result = travel(value)
    assert isinstance(result, bytearray)
    assert result == bytes(value)


def test_a_numpy_scalar_travels_as_an_array_without_dimensions() -> None:
    result = travel(np.float32(2.5))
    assert isinstance(result, np.ndarray)
    assert (result.shape, result.dtype, result.item()) == ((), np.float32, 2.5)


def test_a_contiguous_array_is_not_copied() -> None:
    array = np.zeros((100, 100))
    (view,) = encode(array)[1]
    assert np.shares_memory(np.asarray(view), array)


MASKED = np.ma.masked_array(np.arange(8.0), [0, 1] * 4)


@pytest.mark.parametrize(
    "array",
    [np.array([object()]), np.zeros(2, [("x", "f4")]), MASKED, MASKED[1::2], MASKED.astype(">f8")],
    ids=["objects", "fields", "masked", "masked and not contiguous", "masked and foreign"],
)
def test_what_is_not_plain_items_is_refused_by_name(array: np.ndarray) -> None:
    with pytest.raises(TypeError, match="cannot be sent"):
        encode(array)


@pytest.mark.parametrize(
    "meta",
    [
        b'[",f4",[]]',
        b'["f4,(2)f4",[1]]',
        b"[" * 1024,
        b"{",
        b"[]",
        b'["O", [1]]',
        b'["<f4"]',
        b'["<f4", [-1]]',
        b'["<f4", ["1"]]',
        b'["<f4", 3]',
        b'["no dtype", [1]]',
    ],
)
def test_meta_that_describes_no_array_is_refused(meta: bytes) -> None:
    with pytest.raises(FrameRefused):
        allocate(meta, 4)


def test_a_length_that_does_not_fit_the_shape_is_refused_before_memory_is_taken() -> None:
    with pytest.raises(FrameRefused, match="4 bytes for an array"):
        allocate(json.dumps(["<f8", [1 << 60]]).encode(), 4)
