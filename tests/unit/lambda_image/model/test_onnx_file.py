import contextlib
import re
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from lambda_image.data.sizes import Sizes
from lambda_image.model import onnx_file
from lambda_image.model.onnx_file import OnnxContract, OnnxFileError, read_contract
from tests.data import networks
from tests.data.networks import IMAGE, model, tensor, weights


def test_what_a_network_takes_and_gives():
    assert read_contract(networks.linear().SerializeToString()) == OnnxContract(Sizes(3, 8, 0), False)
    assert read_contract(networks.with_magnitudes().SerializeToString()) == OnnxContract(Sizes(3, 8, 2), True)
    assert read_contract(networks.with_magnitudes(False).SerializeToString()) == OnnxContract(Sizes(3, 8, 2), False)


@pytest.mark.parametrize(
    "dtype", [np.float32, np.float16, np.float64, np.int8, np.int64, np.uint16, np.bool_, np.complex64]
)
@pytest.mark.parametrize("raw", [True, False])
def test_weights_of_any_type_are_taken(dtype: type, raw: bool):
    values = np.arange(6).reshape(2, 3).astype(dtype)
    stored = weights("w", values, dtype)
    if not raw:
        stored = helper.make_tensor("w", stored.data_type, (2, 3), values.ravel().tolist())
    made = networks.linear()
    made.graph.initializer.append(stored)
    read_contract(made.SerializeToString())


def test_texts_and_half_bytes_are_taken_too():
    made = networks.linear()
    made.graph.initializer.append(helper.make_tensor("texts", TensorProto.STRING, (2,), ["a", "b"]))
    made.graph.initializer.append(helper.make_tensor("halves", TensorProto.INT4, (3,), [1, 2, 3]))
    read_contract(made.SerializeToString())


def test_a_weight_may_be_listed_among_the_inputs_as_old_files_do():
    made = networks.linear()
    made.graph.input.append(tensor("weights", [192, 1]))
    assert read_contract(made.SerializeToString()).sizes == Sizes(3, 8, 0)


def test_the_fields_are_those_that_the_library_of_onnx_knows():
    """A file of a newer writer is refused by name, once ONNX has fields that are not known here."""
    messages = {
        "MODEL": onnx.ModelProto,
        "GRAPH": onnx.GraphProto,
        "NODE": onnx.NodeProto,
        "ATTRIBUTE": onnx.AttributeProto,
        "TENSOR": onnx.TensorProto,
        "VALUE_INFO": onnx.ValueInfoProto,
        "TENSOR_TYPE": onnx.TypeProto.Tensor,
        "SHAPE": onnx.TensorShapeProto,
        "DIMENSION": onnx.TensorShapeProto.Dimension,
        "OPERATOR_SET": onnx.OperatorSetIdProto,
        "TYPE": onnx.TypeProto,
    }
    stored = {1: 1, 2: 5, 3: 0, 4: 0, 5: 0, 9: 2, 11: 2, 12: 2, 14: 0}  # types of protocol buffers on the wire
    for name, message in messages.items():
        schema = getattr(onnx_file, name)
        for field in message.DESCRIPTOR.fields:
            ours = schema[field.number]
            repeated = field.is_repeated
            expected = (stored[field.type], *([2] if repeated and field.type not in (9, 11, 12) else []))
            assert (ours.name, ours.stored, ours.repeated) == (field.name, expected, repeated)
        assert len(schema) == len(message.DESCRIPTOR.fields)


def external(made: onnx.ModelProto) -> None:
    stored = made.graph.initializer[0]
    stored.ClearField("raw_data")
    stored.data_location = TensorProto.EXTERNAL
    stored.external_data.add(key="location", value="../../etc/passwd")


def named_external_only(made: onnx.ModelProto) -> None:
    made.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")


def external_constant(made: onnx.ModelProto) -> None:
    constant = weights("", [1.0])
    constant.data_location = TensorProto.EXTERNAL
    made.graph.node.append(helper.make_node("Constant", [], ["c"], value=constant))


def terabyte(made: onnx.ModelProto) -> None:
    made.graph.initializer[0].dims[:] = [1 << 20, 1 << 18]


def terabyte_of_numbers(made: onnx.ModelProto) -> None:
    made.graph.initializer.append(TensorProto(name="w", data_type=1, dims=[1 << 38], float_data=[1.0]))


def more_than_any_number(made: onnx.ModelProto) -> None:
    made.graph.initializer[0].dims[:] = [(1 << 63) - 1] * 8


def negative(made: onnx.ModelProto) -> None:
    made.graph.initializer[0].dims[:] = [-1, -192]


def many_dimensions(made: onnx.ModelProto) -> None:
    made.graph.initializer[0].dims[:] = [1] * 1000


def unknown_type(made: onnx.ModelProto) -> None:
    made.graph.initializer[0].data_type = 99


def foreign_operator(made: onnx.ModelProto) -> None:
    made.graph.node.append(helper.make_node("Fused", ["image"], ["x"], domain="com.microsoft"))


def loop(made: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    made.graph.node.append(helper.make_node("Loop", ["n", "go"], ["x"], body=body))


def branch(made: onnx.ModelProto) -> None:
    empty = helper.make_graph([], "branch", [], [])
    made.graph.node.append(helper.make_node("If", ["go"], ["x"], then_branch=empty, else_branch=empty))


def graphs(made: onnx.ModelProto) -> None:
    made.graph.node.append(onnx.NodeProto(op_type="Scan"))
    made.graph.node[-1].attribute.add(name="bodies").graphs.add()


def function(made: onnx.ModelProto) -> None:
    made.functions.append(helper.make_function("mine", "F", ["x"], ["y"], [], networks.OPSETS))


def training(made: onnx.ModelProto) -> None:
    made.training_info.add()


def sparse(made: onnx.ModelProto) -> None:
    made.graph.sparse_initializer.add()


def sparse_constant(made: onnx.ModelProto) -> None:
    made.graph.node.append(onnx.NodeProto(op_type="Constant"))
    made.graph.node[-1].attribute.add(name="sparse_value").sparse_tensor.values.dims.append(1)


def segment(made: onnx.ModelProto) -> None:
    made.graph.initializer[0].segment.begin = 3


def no_graph(made: onnx.ModelProto) -> None:
    made.ClearField("graph")


HOSTILE: dict[Callable[[onnx.ModelProto], None], str] = {
    external: "'weights' lie in another file, which is not read: export it into one file",
    named_external_only: "lie in another file",
    external_constant: "lie in another file",
    terabyte: r"claims the shape \[1048576, 262144\], 1,099,511,627,776 bytes or more, and holds 768",
    terabyte_of_numbers: "claims the shape",
    more_than_any_number: "claims the shape",
    negative: "has no usable shape",
    many_dimensions: "has no usable shape",
    unknown_type: "data type 99",
    foreign_operator: "'Fused' of 'com.microsoft'; only ONNX's own",
    loop: "'Loop', control flow",
    branch: "'If', control flow",
    graphs: "'Scan', control flow",
    function: "functions or parts for training",
    training: "functions or parts for training",
    sparse: "sparse tensor",
    sparse_constant: "attribute of a kind that is not allowed",
    segment: "has no usable shape",
    no_graph: "holds no graph",
}


@pytest.mark.parametrize("spoil", HOSTILE, ids=lambda spoil: spoil.__name__)
def test_hostile_files_are_refused(spoil: Callable[[onnx.ModelProto], None]):
    made = networks.linear()
    spoil(made)
    with pytest.raises(OnnxFileError, match=HOSTILE[spoil]) as refused:
        read_contract(made.SerializeToString())
    assert "\n" not in str(refused.value)


OTHER_CONTRACTS = {
    "inputs are 'images'; image and": {"inputs": [tensor("images", IMAGE)]},
    "inputs are none": {"inputs": []},
    "inputs are 'image', 'mags'": {"inputs": [tensor("image", IMAGE), tensor("mags", ["N", 5])]},
    "outputs are 'z'; redshift and": {"outputs": [tensor("z", ["N"])]},
    "outputs are 'redshift', 'error'": {"outputs": [tensor("redshift", ["N"]), tensor("error", ["N"])]},
    r"output redshift has the shape \[N, 3\]; \[N\] or \[N, 1\]": {"outputs": [tensor("redshift", ["N", 3])]},
    r"output redshift has the shape \[\]": {"outputs": [tensor("redshift", [])]},
    r"batch dimension is fixed to 32 in image \[32, 3": {"inputs": [tensor("image", [32, 3, 8, 8])]},
    r"image has the shape \[N, 3, N, N\]": {"inputs": [tensor("image", ["N", 3, "H", "W"])]},
    r"image has the shape \[N, 3, 8\]": {"inputs": [tensor("image", ["N", 3, 8])]},
    "image has the shape that it does not say": {"inputs": [tensor("image", None)]},
    r"image has the shape \[N, 3, 8, 9\]": {"inputs": [tensor("image", ["N", 3, 8, 9])]},
    r"image has the shape \[N, 3, 99999, 99999\]": {"inputs": [tensor("image", ["N", 3, 99999, 99999])]},
    "more than 4,194,304 values": {"inputs": [tensor("image", ["N", 3, 4000, 4000])]},
    r"its magnitude has the shape \[N, 0\]": {"inputs": [tensor("image", IMAGE), tensor("magnitude", ["N", 0])]},
    r"magnitude has the shape \[N\]": {"inputs": [tensor("image", IMAGE), tensor("magnitude", ["N"])]},
    "batch dimension is fixed to 1 in magnitude": {"inputs": [tensor("image", IMAGE), tensor("magnitude", [1, 5])]},
    "input 'image' is not float32": {"inputs": [tensor("image", IMAGE, TensorProto.FLOAT16)]},
    "output 'redshift' is not float32": {"outputs": [tensor("redshift", ["N"], TensorProto.DOUBLE)]},
    "two inputs that are called 'image'": {"inputs": [tensor("image", IMAGE)] * 2},
    "input 'image' is not a tensor": {
        "inputs": [helper.make_tensor_sequence_value_info("image", TensorProto.FLOAT, IMAGE)]
    },
}


@pytest.mark.parametrize("message", OTHER_CONTRACTS)
def test_another_contract_is_refused(message: str):
    made = model([], **OTHER_CONTRACTS[message])
    with pytest.raises(OnnxFileError, match=message):
        read_contract(made.SerializeToString())


WHOLE = networks.with_magnitudes().SerializeToString()


def test_the_format_of_onnx_runtime_itself_is_refused():
    with pytest.raises(OnnxFileError, match=re.escape("(.ort)")):
        read_contract(b"\x18\x00\x00\x00ORTM" + bytes(100))


def test_a_file_of_too_many_fields_is_refused_in_little_time():
    empty = onnx.GraphProto(node=[onnx.NodeProto()]).SerializeToString()
    made = onnx.ModelProto(graph=onnx.GraphProto.FromString(empty * 500_001), opset_import=networks.OPSETS)
    with pytest.raises(OnnxFileError, match="more than 500,000 fields"):
        read_contract(made.SerializeToString())


@given(st.integers(0, len(WHOLE) - 1))
def test_a_file_that_is_cut_off_is_refused(length: int):
    with pytest.raises(OnnxFileError):
        read_contract(WHOLE[:length])


def sizes_of(model: onnx.ModelProto) -> Sizes:
    """As the official parser reads them."""
    weights = {tensor.name for tensor in model.graph.initializer}
    found = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in model.graph.input}
    taken = {name: shape for name, shape in found.items() if name not in weights}
    return Sizes(taken["image"][1], taken["image"][2], taken.get("magnitude", [0, 0])[1])


@given(st.data())
def test_a_damaged_file_is_refused_or_keeps_to_a_contract(data: st.DataObject):
    spoiled = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(spoiled) - 1))
        kind = data.draw(st.sampled_from(["change", "remove", "insert"]))
        if kind == "change":
            spoiled[at] = data.draw(st.integers(0, 255))
        elif kind == "remove":
            del spoiled[at : at + data.draw(st.integers(1, 8))]
        else:
            spoiled[at:at] = data.draw(st.binary(min_size=1, max_size=12))
    try:
        contract = read_contract(bytes(spoiled))
    except OnnxFileError:
        return
    with contextlib.suppress(DecodeError):  # of what a contract does not look at: nobody runs such a file
        assert contract.sizes == sizes_of(onnx.ModelProto.FromString(bytes(spoiled)))
