"""Which column names an object, and how the ids of two tables are compared."""

from collections.abc import Sequence

import pyarrow as pa
from pyarrow import compute, types

from lambda_image.errors import InvalidEvent, UsageError
from lambda_image.partition_names import printable
from scripts.id_names import folded, is_id_name

INT64_MAX = 2**63 - 1
# The highest whole numbers up to which a floating-point type has every one.
EXACT = {pa.float16(): 2**11, pa.float32(): 2**24, pa.float64(): 2**53}
SHOWN = 12  # columns in a message


def is_id_type(kind: pa.DataType) -> bool:
    """Tells whether a column of this type can identify an object: whole numbers or text."""
    if types.is_dictionary(kind):
        return is_id_type(kind.value_type)
    return types.is_integer(kind) or is_text(kind) or (types.is_decimal(kind) and kind.scale == 0)


def is_text(kind: pa.DataType) -> bool:
    """Tells whether a type is text, or bytes that may be text."""
    tests = (types.is_string, types.is_large_string, types.is_string_view)
    binary = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
    return any(test(kind) for test in (*tests, *binary))


def choose_id(
    catalogue: Sequence[str], predictions: Sequence[str], given: str | None, named: str = "the predictions"
) -> tuple[str, str]:
    """Chooses the columns by which a catalogue and predictions are joined.

    Args:
        catalogue: the columns of the catalogue.
        predictions: the columns of the predictions that can be ids.
        given: `NAME`, or `NAME_IN_CATALOGUE=NAME_IN_PREDICTIONS`; without it, the one that both have.
        named: what messages call the predictions, with the run that they are of.

    Returns:
        The name in the catalogue and the name in the predictions.

    Raises:
        UsageError: there is no such column, or more than one.
    """
    if not predictions:
        wanted = "its partitions need a column of whole numbers or text, such as objid, beside the images"
        raise UsageError(f"{named} hold no ids to join by: {wanted}")
    if given is not None:
        both = (given, given)
        if "=" in given and given not in catalogue:
            both = (given.partition("=")[0], given.partition("=")[2])
        return _find(both[0], catalogue, "the catalogue"), _find(both[1], predictions, "the predictions")
    shared = [(theirs, ours) for ours in predictions for theirs in catalogue if folded(theirs) == folded(ours)]
    usual = [pair for pair in shared if is_id_name(pair[1])]
    if len(usual or shared) == 1:
        return (usual or shared)[0]
    if shared:
        names = _listed(list(dict.fromkeys(theirs for theirs, _ in usual or shared)))
        raise UsageError(f"the catalogue and the predictions have several columns in common ({names}): choose by --id")
    raise UsageError(
        f"the catalogue ({_listed(catalogue)}) and the predictions ({_listed(predictions)}) have no column of ids in "
        "common: name both, as in --id NAME_IN_CATALOGUE=NAME_IN_PREDICTIONS"
    )


def choose_main_id(predictions: Sequence[str], given: str | None) -> str | None:
    """Chooses the column that identifies a galaxy in predictions alone.

    Args:
        predictions: the columns that can be ids.
        given: its name; without it, the first whose name is usual for ids.

    Raises:
        UsageError: there is no column of the given name.
    """
    if given is not None:
        return _find(given, predictions, "the predictions")
    return next((name for name in predictions if is_id_name(name)), None)


def _find(name: str, names: Sequence[str], where: str) -> str:
    alike = [name] if name in names else [other for other in names if folded(other) == folded(name)]
    if len(alike) == 1:
        return alike[0]
    if alike:
        raise UsageError(f"--id {printable(name)} may be {_listed(alike)} of {where}: write it as it is there")
    raise UsageError(f"--id {printable(name)} is no column of {where}, which has {_listed(names) or 'none'}")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return printable(", ".join(names[:SHOWN])) + more


def keys(column: pa.ChunkedArray, name: str) -> pa.Array:
    """Brings ids into a form that can be compared.

    Args:
        column: a table's column.
        name: how messages call it, as `id of the catalogue`.

    Returns:
        int64, uint64 where numbers need it, or large_string without blanks at its ends. Null stands for no id, as NaN,
        empty texts and what `cosmicai import` writes for missing integers do.

    Raises:
        InvalidEvent: the values are not ids, or have lost digits.
    """
    values = column.cast(column.type.value_type) if types.is_dictionary(column.type) else column
    if types.is_null(values.type):
        return pa.nulls(len(values), pa.int64())
    if types.is_floating(values.type):
        values = _whole(values, name)
    # 255 and 65,535 may be ids, since so few galaxies have them.
    if types.is_signed_integer(values.type) or (types.is_integer(values.type) and values.type.bit_width >= 32):
        values = compute.if_else(compute.equal(values, _missing(values.type)), None, values)
    if types.is_integer(values.type) or (types.is_decimal(values.type) and values.type.scale == 0):
        highest = compute.max(values).as_py()
        return values.cast(pa.uint64() if highest is not None and highest > INT64_MAX else pa.int64()).combine_chunks()
    if not is_text(values.type):
        raise InvalidEvent(f"the column {name} is {values.type}, and an id is a whole number or text")
    try:
        text = compute.utf8_trim_whitespace(values.cast(pa.large_string()))
    except pa.ArrowInvalid as error:
        raise InvalidEvent(f"the column {name} holds text that is not UTF-8") from error
    return compute.if_else(compute.equal(text, ""), None, text).combine_chunks()


def _missing(kind: pa.DataType) -> pa.Scalar:
    """What `cosmicai import` writes for an integer that is missing, since partitions have no gaps."""
    least, greatest = -(1 << kind.bit_width - 1), (1 << kind.bit_width) - 1
    return pa.scalar(least if types.is_signed_integer(kind) else greatest, kind)


def _whole(values: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """The integers that floating-point numbers stand for."""
    values = compute.if_else(compute.is_nan(values), None, values)
    magnitude = compute.max(compute.abs(values)).as_py() or 0
    if magnitude > EXACT[values.type]:
        digits = len(str(EXACT[values.type])) - 1
        raise InvalidEvent(
            f"the column {name} is {values.type}, which keeps {digits} digits: its ids are rounded, and match nothing "
            "for sure. Write them as int64 or as text"
        )
    if compute.any(compute.not_equal(compute.floor(values), values)).as_py():
        raise InvalidEvent(f"the column {name} holds numbers that are not whole, and an id is a whole number or text")
    return values.cast(pa.int64())


def comparable(first: pa.Array, second: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Brings two arrays of keys to one type, in which equal ids are equal values.

    Whole numbers and their digits as text are equal; zeros and a plus before the digits do not count.
    """
    if first.type == second.type:
        return first, second
    if types.is_integer(first.type) and types.is_integer(second.type):
        return _signed(first), _signed(second)  # what only uint64 holds is in one of them alone
    return _digits(first), _digits(second)


def _signed(values: pa.Array) -> pa.Array:
    if values.type == pa.int64():
        return values
    return compute.if_else(compute.greater(values, pa.scalar(INT64_MAX, pa.uint64())), None, values).cast(pa.int64())


def _digits(values: pa.Array) -> pa.Array:
    if types.is_integer(values.type):
        return values.cast(pa.large_string())
    return compute.replace_substring_regex(values, r"^\+?0*([0-9]+)$", r"\1")
