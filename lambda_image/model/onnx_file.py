"""What an ONNX file holds, judged without executing anything: a network that only computes, and what it takes.

ONNX Runtime reads the file after this, and has to be shown nothing that reaches beyond it. So these are refused:

* weights in other files (external data), which would let a model read any file of the machine;
* operators of other domains than ONNX's own, which need a library of their own;
* control flow (`If`, `Loop`, `Scan`, `SequenceMap`), whose time may depend on values, with any graph inside a graph;
* functions, and parts for training;
* sparse tensors, and tensors whose shape claims more than the file holds.

The contract: float32 inputs `image` [N, bands, side, side] and, if the network takes them, `magnitude` [N, M], with N
free; float32 outputs `redshift` [N] or [N, 1] and, if the network gives them, `redshift_err` alike. onnx.proto of ONNX
says which fields there are.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from lambda_image.data.sizes import MAX_BANDS, MAX_MAGNITUDES, MAX_SIDE, Sizes
from lambda_image.model.protobuf import (
    EIGHT_BYTES,
    FOUR_BYTES,
    LENGTH,
    MAX_VARINT_BYTES,
    VARINT,
    Field,
    Message,
    Reader,
    Schema,
    WireError,
)

MAX_BYTES = 2 << 30  # what a protocol buffer can have
MAX_FIELDS = 500_000  # read in a second; a network of a thousand nodes has 30,000
MAX_DIMENSIONS = 16
MAX_IMAGE_VALUES = 1 << 22  # of one galaxy: 4 bands of 1,024 pixels' side
SHOWN = 60  # characters of a name that a message shows
STANDARD_DOMAINS = ("", "ai.onnx")
RUNTIME_FORMAT = b"ORTM"  # bytes 4 to 8 of the format of ONNX Runtime's own, which it would recognise
FLOAT32, STRING = 1, 8
EXTERNAL = 1
# Bits of a value by its data type; strings and types that are younger than this are refused.
BITS = {
    **dict.fromkeys((1, 6, 12), 32),
    **dict.fromkeys((2, 3, 9, 17, 18, 19, 20, 24), 8),
    **dict.fromkeys((4, 5, 10, 16), 16),
    **dict.fromkeys((7, 11, 13, 14), 64),
    15: 128,
    **dict.fromkeys((21, 22, 23), 4),
    **dict.fromkeys((25, 26), 2),
}
TYPED_DATA = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")


def _one(name: str) -> Field:
    return Field(name, (LENGTH,))


def _many(name: str) -> Field:
    return Field(name, (LENGTH,), repeated=True)


def _int(name: str) -> Field:
    return Field(name, (VARINT,))


def _values(name: str, stored: int) -> Field:
    return Field(name, (stored, LENGTH), repeated=True)


MODEL: Schema = {
    1: _int("ir_version"),
    2: _one("producer_name"),
    3: _one("producer_version"),
    4: _one("domain"),
    5: _int("model_version"),
    6: _one("doc_string"),
    7: _one("graph"),
    8: _many("opset_import"),
    14: _many("metadata_props"),
    20: _many("training_info"),
    25: _many("functions"),
    26: _many("configuration"),
}
GRAPH: Schema = {
    1: _many("node"),
    2: _one("name"),
    5: _many("initializer"),
    10: _one("doc_string"),
    11: _many("input"),
    12: _many("output"),
    13: _many("value_info"),
    14: _many("quantization_annotation"),
    15: _many("sparse_initializer"),
    16: _many("metadata_props"),
}
NODE: Schema = {
    1: _many("input"),
    2: _many("output"),
    3: _one("name"),
    4: _one("op_type"),
    5: _many("attribute"),
    6: _one("doc_string"),
    7: _one("domain"),
    8: _one("overload"),
    9: _many("metadata_props"),
    10: _many("device_configurations"),
}
ATTRIBUTE: Schema = {
    1: _one("name"),
    2: Field("f", (FOUR_BYTES,)),
    3: _int("i"),
    4: _one("s"),
    5: _one("t"),
    6: _one("g"),
    7: _values("floats", FOUR_BYTES),
    8: _values("ints", VARINT),
    9: _many("strings"),
    10: _many("tensors"),
    11: _many("graphs"),
    13: _one("doc_string"),
    14: _one("tp"),
    15: _many("type_protos"),
    20: _int("type"),
    21: _one("ref_attr_name"),
    22: _one("sparse_tensor"),
    23: _many("sparse_tensors"),
}
TENSOR: Schema = {
    1: _values("dims", VARINT),
    2: _int("data_type"),
    3: _one("segment"),
    4: _values("float_data", FOUR_BYTES),
    5: _values("int32_data", VARINT),
    6: _many("string_data"),
    7: _values("int64_data", VARINT),
    8: _one("name"),
    9: _one("raw_data"),
    10: _values("double_data", EIGHT_BYTES),
    11: _values("uint64_data", VARINT),
    12: _one("doc_string"),
    13: _many("external_data"),
    14: _int("data_location"),
    16: _many("metadata_props"),
}
VALUE_INFO: Schema = {1: _one("name"), 2: _one("type"), 3: _one("doc_string"), 4: _many("metadata_props")}
TYPE: Schema = {
    1: _one("tensor_type"),
    4: _one("sequence_type"),
    5: _one("map_type"),
    6: _one("denotation"),
    7: _one("opaque_type"),
    8: _one("sparse_tensor_type"),
    9: _one("optional_type"),
}
TENSOR_TYPE: Schema = {1: _int("elem_type"), 2: _one("shape")}
SHAPE: Schema = {1: _many("dim")}
DIMENSION: Schema = {1: _int("dim_value"), 2: _one("dim_param"), 3: _one("denotation")}
OPERATOR_SET: Schema = {1: _one("domain"), 2: _int("version")}

Shape = list[int | None] | None  # None for a dimension that is free; None where the file does not say


class OnnxFileError(Exception):
    """What is wrong with an ONNX file, before the file is named."""


@dataclass(frozen=True)
class OnnxContract:
    """What a network takes and gives."""

    sizes: Sizes
    gives_errors: bool


def read_contract(data: bytes | memoryview) -> OnnxContract:
    """Judges a file.

    Args:
        data: The whole file.

    Returns:
        What its network takes and gives.

    Raises:
        OnnxFileError: The file holds anything that is not allowed, or keeps to another contract.
    """
    try:
        return _File(memoryview(data)).contract()
    except WireError as error:
        raise OnnxFileError(str(error)) from error


class _File:
    def __init__(self, data: memoryview) -> None:
        if len(data) > MAX_BYTES:
            raise OnnxFileError(f"it has {len(data):,} bytes; an ONNX file has at most {MAX_BYTES:,}")
        if bytes(data[4:8]) == RUNTIME_FORMAT:
            raise OnnxFileError("it has a format of ONNX Runtime's own (.ort): export the network as .onnx")
        self._reader = Reader(MAX_FIELDS)
        model = self._reader.read(data, "model", MODEL)
        if "functions" in model or "training_info" in model:
            raise OnnxFileError("it holds functions or parts for training, which are not allowed: export it without")
        if "graph" not in model or "opset_import" not in model:
            raise OnnxFileError("it holds no graph, or no version of its operators: it may be cut off")
        for operators in model.messages("opset_import"):
            self._reader.read(operators, "opset_import", OPERATOR_SET)
        self._graph = self._reader.read(model.messages("graph")[0], "graph", GRAPH)

    def contract(self) -> OnnxContract:
        if "sparse_initializer" in self._graph:
            raise OnnxFileError("it holds a sparse tensor, which is not allowed")
        weights = {self._check_tensor(tensor) for tensor in self._graph.messages("initializer")}
        for node in self._graph.messages("node"):
            self._check_node(node)
        inputs = {name: shape for name, shape in self._values("input") if name not in weights}
        outputs = dict(self._values("output"))
        if "image" not in inputs or inputs.keys() - {"image", "magnitude"}:
            raise OnnxFileError(
                f"its inputs are {_list(inputs)}; image and, if it takes them, magnitude are needed "
                "(input_names of torch.onnx.export)"
            )
        if "redshift" not in outputs or outputs.keys() - {"redshift", "redshift_err"}:
            raise OnnxFileError(
                f"its outputs are {_list(outputs)}; redshift and, if it gives them, redshift_err are needed "
                "(output_names of torch.onnx.export)"
            )
        for name, shape in outputs.items():
            if shape is not None and not (len(shape) == 1 or (len(shape) == 2 and shape[1] in (1, None))):
                raise OnnxFileError(f"its output {name} has the shape {_shown(shape)}; [N] or [N, 1] is needed")
        sizes = _sizes(inputs["image"], inputs.get("magnitude", [None, 0]))
        if "magnitude" in inputs and not sizes.magnitudes:
            raise OnnxFileError("its magnitude has the shape [N, 0]: leave the input out")
        return OnnxContract(sizes, "redshift_err" in outputs)

    def _check_node(self, data: memoryview) -> None:
        node = self._reader.read(data, "node", NODE)
        operator, domain = node.text("op_type"), node.text("domain")
        if domain not in STANDARD_DOMAINS:
            raise OnnxFileError(
                f"it uses the operator {_short(operator)} of {_short(domain)}; only ONNX's own operators are run"
            )
        for attribute in node.messages("attribute"):
            found = self._reader.read(attribute, "attribute", ATTRIBUTE)
            if "g" in found or "graphs" in found:
                raise OnnxFileError(
                    f"it uses {_short(operator)}, control flow, which is not allowed: every galaxy takes the same steps"
                )
            if "sparse_tensor" in found or "sparse_tensors" in found or "ref_attr_name" in found:
                raise OnnxFileError(f"its operator {_short(operator)} has an attribute of a kind that is not allowed")
            for tensor in (*found.messages("t"), *found.messages("tensors")):
                self._check_tensor(tensor)

    def _check_tensor(self, data: memoryview) -> str:
        """The name of a tensor that claims no more than it holds, and lies in this file."""
        tensor = self._reader.read(data, "tensor", TENSOR)
        name = tensor.text("name")
        if "external_data" in tensor or tensor.number("data_location") == EXTERNAL:
            raise OnnxFileError(
                f"its weights {_short(name)} lie in another file, which is not read: export it into one file "
                "(external_data=False)"
            )
        if tensor.size("dims") > MAX_VARINT_BYTES * MAX_DIMENSIONS or "segment" in tensor:
            raise OnnxFileError(f"its tensor {_short(name)} has no usable shape")
        dims, kind = tensor.numbers("dims"), tensor.number("data_type")
        if len(dims) > MAX_DIMENSIONS or min(dims, default=0) < 0:
            raise OnnxFileError(f"its tensor {_short(name)} has no usable shape")
        count = math.prod(dims)
        if kind == STRING:
            held, needed = len(tensor.messages("string_data")), count
        elif kind not in BITS:
            raise OnnxFileError(f"its tensor {_short(name)} has a data type {kind}, which is not known")
        elif "raw_data" in tensor:
            held, needed = tensor.size("raw_data"), -(-count * BITS[kind] // 8)
        else:  # numbers one by one, of which small ones take a byte: the exact check is ONNX Runtime's
            held, needed = max(map(tensor.size, TYPED_DATA)), -(-count * min(BITS[kind], 8) // 8)
        if held < needed:
            raise OnnxFileError(
                f"its tensor {_short(name)} claims the shape {dims}, {needed:,} bytes or more, and holds {held:,}"
            )
        return name

    def _values(self, kind: str) -> Iterator[tuple[str, Shape]]:
        """Names and shapes of the graph's inputs or outputs, which must be float32 tensors."""
        names = set()
        for data in self._graph.messages(kind):
            value = self._reader.read(data, kind, VALUE_INFO)
            name = value.text("name")
            if name in names:
                raise OnnxFileError(f"it has two {kind}s that are called {_short(name)}")
            names.add(name)
            yield name, self._shape(value, f"{kind} {_short(name)}")

    def _shape(self, value: Message, what: str) -> Shape:
        types = [self._reader.read(data, "type", TYPE) for data in value.messages("type")]
        tensors = [data for kind in types for data in kind.messages("tensor_type")]
        if not tensors:
            raise OnnxFileError(f"its {what} is not a tensor")
        tensor = self._reader.read(tensors[0], "type", TENSOR_TYPE)
        if tensor.number("elem_type") != FLOAT32:
            raise OnnxFileError(f"its {what} is not float32")
        for data in tensor.messages("shape"):
            dims = [
                self._reader.read(dim, "shape", DIMENSION)
                for dim in self._reader.read(data, "shape", SHAPE).messages("dim")
            ]
            return [dim.number("dim_value") if "dim_value" in dim else None for dim in dims]
        return None


def _sizes(image: Shape, magnitude: Shape) -> Sizes:
    for name, shape, needed in (("image", image, 4), ("magnitude", magnitude, 2)):
        free = shape is not None and len(shape) == needed and shape[0] is None
        if shape is not None and len(shape) == needed and not free:
            raise OnnxFileError(
                f"its batch dimension is fixed to {shape[0]} in {name} {_shown(shape)}: export it free (dynamic_shapes)"
            )
        if not free or shape is None or None in shape[1:]:
            words = "[N, bands, side, side]" if needed == 4 else "[N, M]"
            raise OnnxFileError(f"its {name} has the shape {_shown(shape)}; {words} with N free is needed")
    assert image is not None
    assert magnitude is not None
    bands, side, width = (int(size or 0) for size in image[1:])
    count = int(magnitude[1] or 0)
    if side != width or not (0 < bands <= MAX_BANDS and 0 < side <= MAX_SIDE and 0 <= count <= MAX_MAGNITUDES):
        raise OnnxFileError(f"its image has the shape {_shown(image)} and its magnitude {_shown(magnitude)}: no sizes")
    if bands * side**2 > MAX_IMAGE_VALUES:
        raise OnnxFileError(f"its image {_shown(image)} has more than {MAX_IMAGE_VALUES:,} values")
    return Sizes(bands, side, count)


def _shown(shape: Shape) -> str:
    if shape is None:
        return "that it does not say"
    return "[" + ", ".join("N" if size is None else str(size) for size in shape) + "]"


def _short(name: str) -> str:
    return repr(name[:SHOWN])


def _list(names: dict[str, Shape]) -> str:
    return ", ".join(_short(name) for name in list(names)[:4]) or "none"
