"""Changes of good files at random, each by a number and a seed that give the same change every time."""

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch

from lambda_image.data.quality import OnBadRow
from scripts.bench.input.originals import GALAXIES, LEGACY_PICKLE_BYTES, Original, Tensors, with_header

FILLS = (np.nan, np.inf, -np.inf, -9999.0, 99.0, -99.0, 1e20, 1.6e38, -1.0, 0.0, 1e-45, 1e-310, 1e5, 2e5, -10.5, 40.0)
EDGE_BYTES = 2048  # headers, pickles and directories lie within so many bytes of a file's ends
LONGEST_RUN = 4096
SPLIT, SKIPPED, FAILING = 0.1, 0.1, 0.05  # fractions of files that are read in part, or by another `on_bad_row`


@dataclass(frozen=True)
class Mutation:
    """A changed file, and how it is to be read.

    Attributes:
        number: Its number, by which it can be repeated.
        kind: The kind of change.
        change: The change in words.
        original: The good file.
        data: The changed file.
        rows: The rows that are read, or None for all.
        on_bad_row: What becomes of rows that cannot be judged.
    """

    number: int
    kind: str
    change: str
    original: Original
    data: bytes
    rows: tuple[int, int] | None
    on_bad_row: OnBadRow


def mutate(seed: int, number: int, good: Sequence[Original]) -> Mutation:
    """Return the mutation of this number."""
    rng = np.random.default_rng([seed, number])
    original = good[int(rng.integers(len(good)))]
    kinds = [*VALUES, *BYTES, *(HEADERS if original.is_safetensors else PICKLES)]
    kind = _one(rng, kinds)
    if kind in VALUES:
        tensors = {name: tensor.clone() for name, tensor in original.tensors.items()}
        change = VALUES[kind](tensors, rng)
        data = original.write(tensors)
    else:
        change, data = {**BYTES, **HEADERS, **PICKLES}[kind](original.write(original.tensors), rng)
    start, stop = sorted(rng.integers(0, GALAXIES + 1, 2).tolist())
    rows = (start, stop) if rng.random() < SPLIT else None
    how = rng.random()
    ways = get_args(OnBadRow)
    on_bad_row = ways[1] if how < SKIPPED else ways[2] if how < SKIPPED + FAILING else ways[0]
    return Mutation(number, kind, change, original, data, rows, on_bad_row)


# --- values


def _fill(tensors: Tensors, rng: np.random.Generator) -> str:
    """A value where none was measured, in part of a row or of several."""
    value = FILLS[rng.integers(len(FILLS))]
    rows = _rows(rng)
    name = _one(rng, [name for name in tensors if tensors[name].is_floating_point()])
    tensor = tensors[name]
    if name == "images" and rng.random() < 0.5:
        places = [tuple(int(rng.integers(length)) for length in tensor.shape[1:]) for _ in rows]
        for row, place in zip(rows, places, strict=True):
            tensor[(row, *_centre(place, tensor))] = value
        return f"a pixel of the images of rows {rows} is {value}"
    if tensor.ndim > 1 and rng.random() < 0.7:
        band = int(rng.integers(5)) % tensor.shape[-1]
        tensor[rows, ..., band] = value  # a band, or a column of pixels
        return f"place {band} of {name} in rows {rows} is {value}"
    tensor[rows] = value
    return f"{name} of rows {rows} are {value}"


def _swap_bands(tensors: Tensors, rng: np.random.Generator) -> str:
    rows = _rows(rng)
    name = _one(rng, ["images", "magnitudes"])
    axis = 0 if tensors[name].shape[1] == 5 else 2
    order = rng.permutation(5).tolist()
    tensors[name][rows] = tensors[name][rows].index_select(axis + 1, torch.tensor(order))
    return f"the bands of {name} in rows {rows} are in the order {order}"


def _scale(tensors: Tensors, rng: np.random.Generator) -> str:
    rows, factor = _rows(rng), float(10.0 ** rng.uniform(-6, 6)) * (1 if rng.random() < 0.8 else -1)
    name = _one(rng, ["images", "magnitudes", "redshifts"] if "redshifts" in tensors else ["images"])
    tensors[name][rows] *= factor
    return f"{name} of rows {rows} are multiplied by {factor:.3g}"


def _exchange(tensors: Tensors, rng: np.random.Generator) -> str:
    name = _one(rng, list(tensors))
    order = torch.from_numpy(rng.permutation(GALAXIES))
    tensor = tensors[name]
    if tensor.dtype == torch.uint16:  # whose rows PyTorch cannot choose
        tensors[name] = tensor.view(torch.int16)[order].view(torch.uint16)
    else:
        tensors[name] = tensor[order]
    return f"the rows of {name} are in the order {order.tolist()}"


def _repeat(tensors: Tensors, rng: np.random.Generator) -> str:
    others = [name for name in tensors if name not in ("images", "magnitudes", "redshifts")] or ["redshifts"]
    name = _one(rng, [name for name in others if tensors[name].dtype != torch.uint16])
    rows = _rows(rng)
    tensors[name][rows] = tensors[name][0].clone()
    return f"{name} of rows {rows} are those of row 0"


def _reshape(tensors: Tensors, rng: np.random.Generator) -> str:
    """Another shape or type than can be read, or sometimes one that can."""
    name = _one(rng, list(tensors))
    tensor = tensors[name]
    changes: dict[str, Callable[[], torch.Tensor]] = {
        "loses its last row": lambda: tensor[:-1],
        "gets an axis at its end": lambda: tensor[..., None],
        "gets an axis at its start": lambda: tensor[None],
        "is flat": lambda: tensor.reshape(-1),
        "is turned round": lambda: tensor.permute(*range(tensor.ndim - 1, -1, -1)).contiguous(),
        "has its last axis halved": lambda: tensor[..., : tensor.shape[-1] // 2].contiguous(),
        "has no rows": lambda: tensor[:0],
        "is a number": lambda: tensor.reshape(-1)[0].clone(),
        "is int32": lambda: tensor.to(torch.int32),
        "is float64": lambda: tensor.double(),
        "is float16": lambda: tensor.to(torch.float16),
        "is complex": lambda: tensor.to(torch.complex64),
        "is bool": lambda: tensor.bool(),
    }
    change = _one(rng, list(changes))
    tensors[name] = changes[change]()
    return f"{name} {change}"


def _remove(tensors: Tensors, rng: np.random.Generator) -> str:
    name = _one(rng, list(tensors))
    del tensors[name]
    return f"{name} is not there"


def _rows(rng: np.random.Generator) -> list[int]:
    count = GALAXIES if rng.random() < 0.1 else int(rng.integers(1, 4))
    return sorted(rng.choice(GALAXIES, count, replace=False).tolist())


def _centre(place: tuple[int, ...], tensor: torch.Tensor) -> tuple[int, ...]:
    return tuple(16 + at % 32 if length == 64 else at for at, length in zip(place, tensor.shape[1:], strict=True))


def _one(rng: np.random.Generator, some: Sequence[str]) -> str:
    return some[int(rng.integers(len(some)))]


# --- bytes


def _flip(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    changed, places = bytearray(data), sorted(_offset(data, rng) for _ in range(rng.integers(1, 9)))
    for place in places:
        changed[place] ^= 1 << int(rng.integers(8))
    return f"a bit flips in bytes {places}", bytes(changed)


def _overwrite(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    place, size = _run(data, rng)
    return f"{size} bytes at {place} are random", data[:place] + rng.bytes(size) + data[place + size :]


def _zero(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    place, size = _run(data, rng)
    return f"{size} bytes at {place} are 0", data[:place] + bytes(size) + data[place + size :]


def _cut_out(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    place, size = _run(data, rng)
    return f"{size} bytes at {place} are missing", data[:place] + data[place + size :]


def _cut_off(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    place = _offset(data, rng)
    return f"it ends at byte {place}", data[:place]


def _double(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    place, size = _run(data, rng)
    return f"{size} bytes at {place} are there twice", data[: place + size] + data[place:]


def _insert(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    place, size = _run(data, rng)
    return f"{size} random bytes are put in at {place}", data[:place] + rng.bytes(size) + data[place:]


def _offset(data: bytes, rng: np.random.Generator) -> int:
    """Half of them near the ends, where everything stands that is not a value."""
    if rng.random() < 0.5:
        return int(rng.integers(len(data)))
    edge = int(rng.integers(min(EDGE_BYTES, len(data))))
    return edge if rng.random() < 0.6 else len(data) - 1 - edge


def _run(data: bytes, rng: np.random.Generator) -> tuple[int, int]:
    place = _offset(data, rng)
    return place, int(min(2 ** rng.uniform(0, np.log2(LONGEST_RUN)), len(data) - place))


# --- the header of safetensors


def _header_length(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    length = int.from_bytes(data[:8], "little")
    other = int(_pick(rng, [0, 1, length - 1, length + 1, length * 2, 2**20, 2**31, 2**63 - 1, 2**64 - 1]))
    return f"the header's length is {other}", other.to_bytes(8, "little") + data[8:]


def _header_entry(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    length = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8 : 8 + length])
    name = _one(rng, list(header))
    part = _one(rng, ["dtype", "shape", "data_offsets", "name", "swap", "remove", "metadata"])
    entry = header[name]
    if part == "dtype":
        entry[part] = _pick(rng, ["F16", "BF16", "F32", "F64", "I64", "U8", "F8_E4M3", "", "f32", None, 7, ["F32"]])
    elif part in ("shape", "data_offsets"):
        odd = [0, -1, 1, 2**31, 2**62, 2**64, 1.5, "12", None, True, [], 1e300]
        numbers = entry[part]
        where = int(rng.integers(len(numbers)))
        way = rng.integers(4)
        if way == 0:
            numbers[where] = _pick(rng, odd)
        elif way == 1:
            numbers[where] += int(rng.integers(-4, 5))
        elif way == 2:
            rng.shuffle(numbers)
        else:
            entry[part] = _pick(rng, [[], None, "x", [2**62, 0], [0, 2**62, 2**62], {}, numbers * 2])
    elif part == "name":
        header = {(_pick(rng, NAMES) if key == name else key): value for key, value in header.items()}
    elif part == "swap":
        other = _one(rng, list(header))
        header[name], header[other] = header[other], header[name]
    elif part == "remove":
        del header[name]
    else:
        header["__metadata__"] = _pick(rng, [None, 1, {"a": "b"}, {"a": 1}, []])
    return f"of {name} the {part} is {header.get(name)!r:.80}", with_header(
        json.dumps(header).encode(), data[8 + length :]
    )


NAMES = ["", "images", "magnitudes", "redshifts", "row", "source", "quality", "x" * 200, "\n", "\udc00", "é", "IMAGES"]


def _pick(rng: np.random.Generator, some: Sequence[Any]) -> Any:
    return some[int(rng.integers(len(some)))]


# --- the pickle of PyTorch


def _pickle(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """Bytes of the pickle change; a zip gets the checksum that fits them."""
    if not zipfile.is_zipfile(io.BytesIO(data)):  # before PyTorch 1.6 it is what the file begins with
        return "bytes of its pickles change", _flip_within(data, 0, LEGACY_PICKLE_BYTES, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    name = next(name for name in entries if name.endswith("/data.pkl"))
    entries[name] = _flip_within(entries[name], 0, len(entries[name]), rng)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)
    return "bytes of its pickle change, and its checksum with them", buffer.getvalue()


def _flip_within(data: bytes, start: int, stop: int, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(start, min(stop, len(data))))
        changed[place] = _pick(rng, [int(rng.integers(256)), data[int(rng.integers(len(data)))], changed[place] ^ 1])
    return bytes(changed)


VALUES: dict[str, Callable[[Tensors, np.random.Generator], str]] = {
    "fill values": _fill,
    "bands swapped": _swap_bands,
    "values scaled": _scale,
    "rows exchanged": _exchange,
    "ids repeated": _repeat,
    "shape or type": _reshape,
    "tensor missing": _remove,
}
BYTES: dict[str, Callable[[bytes, np.random.Generator], tuple[str, bytes]]] = {
    "bits flipped": _flip,
    "bytes random": _overwrite,
    "bytes zero": _zero,
    "bytes cut out": _cut_out,
    "cut off": _cut_off,
    "bytes doubled": _double,
    "bytes inserted": _insert,
}
HEADERS = {"header length": _header_length, "header entry": _header_entry}
PICKLES = {"pickle": _pickle}
