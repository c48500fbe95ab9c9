"""Reads the wire format of protocol buffers strictly and within bounds. No I/O, and nothing is copied.

https://protobuf.dev/programming-guides/encoding/ says what the format is. A message is a row of fields. Each is a tag,
which holds the field's number and how its value is stored, and the value. That is a varint, 4 or 8 bytes, or a length
and so many bytes.

Strict means that what the official parsers forgive is refused here. That is a field that the message does not have, a
value that is stored otherwise than its field says, and a second value of a field that has one. So no two parsers can
see different things in a file that this one accepts.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5  # how a value is stored; 3 and 4 are groups, which nobody writes
MAX_VARINT_BYTES = 10  # of 7 bits: 64 bits
MAX_TAG = (1 << 32) - 1
FIXED_SIZES = {EIGHT_BYTES: 8, FOUR_BYTES: 4}


class WireError(Exception):
    """What is wrong with the bytes, before their file is named."""


class Field(NamedTuple):
    """A field that a message may have; `stored` are the ways in which its value may be stored."""

    name: str
    stored: tuple[int, ...]
    repeated: bool = False


Value = int | memoryview  # the number of a varint, the bytes of anything else
Schema = Mapping[int, Field]


class Message:
    """The fields of one message by their names."""

    def __init__(self, values: dict[str, list[Value]]) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def number(self, name: str) -> int:
        """The value of a varint that is there once, or 0, which protobuf leaves out."""
        return next(iter(self.numbers(name)), 0)

    def numbers(self, name: str) -> list[int]:
        """Values of a repeated varint, packed or not, as signed integers of 64 bits."""
        found: list[int] = []
        for value in self._values.get(name, ()):
            found += [value] if isinstance(value, int) else _packed(value)
        return [number - (1 << 64) if number >> 63 else number for number in found]

    def messages(self, name: str) -> list[memoryview]:
        """The bytes of each submessage, or of each string."""
        return [value for value in self._values.get(name, ()) if isinstance(value, memoryview)]

    def text(self, name: str) -> str:
        """A string that is there once, or an empty one. Raises WireError if it is not UTF-8."""
        for value in self.messages(name):
            try:
                return bytes(value).decode()
            except UnicodeDecodeError:
                raise WireError(f"its {name} is not text in UTF-8") from None
        return ""

    def size(self, name: str) -> int:
        """Bytes of all values of a field, of which each unpacked number counts as one."""
        return sum(1 if isinstance(value, int) else len(value) for value in self._values.get(name, ()))


class Reader:
    """Reads messages, which together have at most `max_fields` fields: so much time and memory a file can take."""

    def __init__(self, max_fields: int) -> None:
        self._max = self._left = max_fields

    def read(self, data: memoryview, what: str, schema: Schema) -> Message:
        """Reads one message, and none of those in it.

        Args:
            data: Its bytes.
            what: What messages call it.
            schema: The fields that it may have.

        Returns:
            Its fields.

        Raises:
            WireError: The bytes are not such a message, or there are too many fields.
        """
        values: dict[str, list[Value]] = {}
        for number, stored, value in self._fields(data, what):
            field = schema.get(number)
            if field is None or stored not in field.stored:
                raise WireError(f"its {what} has a field {number} of type {stored}, which ONNX does not know")
            found = values.setdefault(field.name, [])
            if found and not field.repeated:
                raise WireError(f"its {what} has the field {field.name} twice")
            found.append(value)
        return Message(values)

    def _fields(self, data: memoryview, what: str) -> Iterator[tuple[int, int, Value]]:
        at = 0
        while at < len(data):
            self._left -= 1
            if self._left < 0:
                raise WireError(f"it has more than {self._max:,} fields")
            tag, at = _varint(data, at)
            number, stored = tag >> 3, tag & 7
            if not number or tag > MAX_TAG:
                raise WireError(f"its {what} is not a protocol buffer")
            if stored == VARINT:
                value, at = _varint(data, at)
                yield number, stored, value
                continue
            if stored == LENGTH:
                length, at = _varint(data, at)
            elif stored in FIXED_SIZES:
                length = FIXED_SIZES[stored]
            else:
                raise WireError(f"its {what} is not a protocol buffer")
            if length > len(data) - at:
                raise WireError(f"it is cut off within its {what}")
            yield number, stored, data[at : at + length]
            at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number that begins at `at`, and where the next thing begins."""
    value = 0
    for place in range(MAX_VARINT_BYTES):
        if at + place >= len(data):
            raise WireError("it is cut off within a number")
        byte = data[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            if value >> 64:
                break
            return value, at + place + 1
    raise WireError("it holds a number of more than 64 bits")


def _packed(data: memoryview) -> list[int]:
    numbers, at = [], 0
    while at < len(data):
        number, at = _varint(data, at)
        numbers.append(number)
    return numbers
