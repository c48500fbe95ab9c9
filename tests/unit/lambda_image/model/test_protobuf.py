import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_image.model.protobuf import FOUR_BYTES, LENGTH, VARINT, Field, Reader, WireError

SCHEMA = {
    1: Field("numbers", (VARINT, LENGTH), repeated=True),
    2: Field("word", (LENGTH,)),
    3: Field("real", (FOUR_BYTES,)),
    5: Field("kind", (VARINT,)),
}


def read(data: bytes, max_fields: int = 1000):
    return Reader(max_fields).read(memoryview(data), "thing", SCHEMA)


def varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def test_values_of_every_kind():
    message = read(b"\x08\x96\x01" + b"\x0a\x02\x01\x7f" + b"\x12\x03abc" + b"\x1d\x00\x00\x80\x3f" + b"\x28\x07")
    assert message.numbers("numbers") == [150, 1, 127]
    assert message.text("word") == "abc"
    assert message.number("kind") == 7
    assert bytes(message.messages("real")[0]) == b"\x00\x00\x80\x3f"
    assert (message.size("numbers"), message.size("word"), message.size("nothing")) == (3, 3, 0)
    assert "word" in message
    assert "nothing" not in message
    assert (message.number("nothing"), message.text("nothing")) == (0, "")


def test_no_bytes_are_a_message_without_fields():
    assert "word" not in read(b"")


@given(st.integers(-(2**63), 2**63 - 1))
def test_numbers_are_signed(number: int):
    assert read(b"\x08" + varint(number % 2**64)).numbers("numbers") == [number]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x12\x05abc", "cut off within its thing"),
        (b"\x1d\x00", "cut off within its thing"),
        (b"\x08", "cut off within a number"),
        (b"\x08\x80", "cut off within a number"),
        (b"\x12" + varint(2**63), "cut off within its thing"),
        (b"\x08" + b"\xff" * 10 + b"\x01", "more than 64 bits"),
        (b"\x08" + b"\xff" * 9 + b"\x7f", "more than 64 bits"),
        (b"\x08" + b"\x80" * 1000, "more than 64 bits"),
        (b"\x00\x01", "not a protocol buffer"),
        (b"\x0b\x0c", "not a protocol buffer"),  # a group
        (b"\x0e", "not a protocol buffer"),
        (varint(2**35 | 0x08) + b"\x01", "not a protocol buffer"),
        (b"\x20\x01", "field 4 of type 0"),
        (b"\x10\x01", "field 2 of type 0"),
        (b"\x29" + bytes(8), "field 5 of type 1"),
        (b"\x12\x00\x12\x00", "the field word twice"),
    ],
)
def test_what_is_refused(data: bytes, message: str):
    with pytest.raises(WireError, match=message):
        read(data)


def test_text_that_is_not_utf8_is_refused():
    with pytest.raises(WireError, match="word is not text"):
        read(b"\x12\x01\xff").text("word")


def test_the_number_of_fields_is_bounded_over_all_messages():
    reader = Reader(3)
    reader.read(memoryview(b"\x08\x01\x08\x01"), "thing", SCHEMA)
    with pytest.raises(WireError, match="more than 3 fields"):
        reader.read(memoryview(b"\x08\x01\x08\x01"), "thing", SCHEMA)


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_any_bytes_are_read_or_refused(data: bytes):
    try:
        message = read(data)
        message.numbers("numbers")
        message.text("word")
    except WireError:
        pass


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5),
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.integers(0, 2**31 - 1),
)
def test_what_the_official_library_writes_is_read(dims: list[int], name: str, kind: int):
    tensor = onnx.TensorProto(dims=dims, name=name, data_type=kind)
    schema = {
        1: Field("dims", (VARINT, LENGTH), repeated=True),
        2: Field("data_type", (VARINT,)),
        8: Field("name", (LENGTH,)),
    }
    message = Reader(100).read(memoryview(tensor.SerializeToString()), "tensor", schema)
    assert message.numbers("dims") == dims
    assert (message.text("name"), message.number("data_type")) == (name, kind)
