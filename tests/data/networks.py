"""Small networks as ONNX files, made by the library of ONNX itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

IMAGE = ["N", 3, 8, 8]
OPSETS = [helper.make_opsetid("", 17)]
WEIGHTS = np.linspace(-1, 1, 3 * 64, dtype=np.float32).reshape(192, 1)


def tensor(name: str, shape: Sequence[Any] | None, dtype: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def weights(name: str, values: Any, dtype: Any = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def model(
    nodes: Sequence[onnx.NodeProto],
    initializers: Sequence[onnx.TensorProto] = (),
    inputs: Sequence[onnx.ValueInfoProto] | None = None,
    outputs: Sequence[onnx.ValueInfoProto] | None = None,
    **more: Any,
) -> onnx.ModelProto:
    inputs = [tensor("image", IMAGE)] if inputs is None else inputs
    outputs = [tensor("redshift", ["N"])] if outputs is None else outputs
    graph = helper.make_graph(nodes, "network", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=OPSETS, ir_version=9, **more)


def linear() -> onnx.ModelProto:
    """redshift = the image's pixels by WEIGHTS."""
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["column"]),
        helper.make_node("Squeeze", ["column", "axis"], ["redshift"]),
    ]
    return model(nodes, [weights("weights", WEIGHTS), weights("axis", [1], np.int64)])


def with_magnitudes(errors: bool = True) -> onnx.ModelProto:
    """redshift = [N, 1] the mean of the magnitudes and of the image; redshift_err = [N] its fifth of the magnitudes."""
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("Concat", ["flat", "magnitude"], ["all"], axis=1),
        helper.make_node("ReduceMean", ["all"], ["redshift"], axes=[1], keepdims=1),
        helper.make_node("ReduceMean", ["magnitude"], ["redshift_err"], axes=[1], keepdims=0),
    ]
    outputs = [tensor("redshift", ["N", 1]), *([tensor("redshift_err", ["N"])] if errors else [])]
    inputs = [tensor("image", IMAGE), tensor("magnitude", ["N", 2])]
    return model(nodes[: 4 if errors else 3], inputs=inputs, outputs=outputs)


def mixing() -> onnx.ModelProto:
    """A batch norm in train mode: what it says of a galaxy depends on the others in the batch."""
    nodes = [
        helper.make_node(
            "BatchNormalization",
            ["image", "one", "zero", "zero", "one"],
            ["normal", "mean", "variance"],
            training_mode=1,
        ),
        helper.make_node("Flatten", ["normal"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["column"]),
        helper.make_node("Squeeze", ["column", "axis"], ["redshift"]),
    ]
    kept = [weights("one", [1, 1, 1]), weights("zero", [0, 0, 0])]
    return model(nodes, [*kept, weights("weights", WEIGHTS), weights("axis", [1], np.int64)])


def of_a_huge_tensor() -> onnx.ModelProto:
    """A file of 300 bytes that computes a tensor of a terabyte."""
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["huge"], value=weights("", [1.0])),
        helper.make_node("ReduceSum", ["huge"], ["sum"], keepdims=0),
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Add", ["mean", "sum"], ["redshift"]),
    ]
    return model(nodes, [weights("shape", [1 << 20, 1 << 18], np.int64)])
