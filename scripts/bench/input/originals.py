"""Good files of every format that is read, each with what is in it and how to write it again with other values."""

import io
import json
import pickle
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import TensorDataset

from lambda_image.data.partition import write_partition
from scripts.galaxies import Mixture, render

Tensors = dict[str, torch.Tensor]

GALAXIES = 12  # in each file: enough for several batches, few enough for a thousand files
SEED = 11  # of the galaxies, which are the same whatever is done to the files
FIRST_ID = 1_237_648_720_693_755_000  # object ids of SDSS have 19 digits
LEGACY_PICKLE_BYTES = 1000  # what it begins with, at least
DTYPE_NAMES = {
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float32: "F32",
    torch.float64: "F64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.uint16: "U16",
    torch.bool: "BOOL",
    torch.complex64: "C64",
}


@dataclass(frozen=True)
class Original:
    """A good file.

    Attributes:
        name: What it is called, with the ending that such files have.
        tensors: What it holds, by name and in its order.
        write: Gives the bytes of a file of this format with these tensors, or with others.
    """

    name: str
    tensors: Tensors
    write: Callable[[Tensors], bytes]

    @property
    def is_safetensors(self) -> bool:
        return self.name.endswith(".safetensors")


def originals() -> list[Original]:
    """Return all of them, with the same galaxies in each."""
    rng = np.random.default_rng(SEED)
    magnitudes, redshifts = Mixture.shipped().draw(GALAXIES, rng)
    images, m, z = (torch.from_numpy(array) for array in (render(magnitudes, rng), magnitudes, redshifts))
    wide = torch.zeros(GALAXIES, 64, 64, 5)
    wide[:, 16:48, 16:48] = images.permute(0, 2, 3, 1)
    ids = FIRST_ID + torch.arange(GALAXIES)
    names = torch.tensor([list(f"SDSS J{row:06d}".encode()) for row in range(GALAXIES)], dtype=torch.uint8)
    numbers = torch.arange(GALAXIES, dtype=torch.int32)
    plate = numbers.to(torch.uint16)
    plain = {"magnitudes": m, "redshifts": z, "images": images}
    ended = {"magnitudes": m, "redshifts": z, "objid": ids, "name": names, "ra": m[:, 0].double() * 10}
    last = {"name": names[:, :3].clone(), "plate": plate, "good": z > 0.1}
    return [
        Original("ids.safetensors", {**ended, "images": images}, write_safetensors),
        Original("half.safetensors", {"images": images.half(), "magnitudes": m.double(), "z": z}, write_safetensors),
        Original("bfloat16.safetensors", {**plain, "images": images.bfloat16()}, write_safetensors),
        Original(
            "wide.safetensors",
            {"row": numbers * 7, **plain, "redshifts": z[:, None], "images": wide},
            write_safetensors,
        ),
        Original("shifted.safetensors", {**last, "magnitudes": m, "images": images.double()}, write_safetensors),
        Original("published.pt", {"images": images, "magnitudes": m.double(), "redshifts": z}, write_zip),
        Original("wide.pt", {"images": wide.bfloat16(), "magnitudes": m, "redshifts": z, "object_id": ids}, write_zip),
        Original("legacy.pt", {"images": images, "magnitudes": m.double(), "redshifts": z}, write_legacy),
        Original("columns.pt", {"images": images, "magnitudes": m, "redshifts": z, "objid": ids, **last}, write_ours),
    ]


def write_safetensors(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Return a file with the tensors in this order, which the safetensors library would change."""
    header, end = {}, 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.nbytes
        header[name] = {"dtype": DTYPE_NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    return with_header(json.dumps(header).encode(), b"".join(map(_raw, tensors.values())))


def with_header(header: bytes, data: bytes) -> bytes:
    """Return a safetensors file of its two parts."""
    return len(header).to_bytes(8, "little") + header + data


def write_zip(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Return what `torch.save` writes of a TensorDataset, as published."""
    return _saved(tensors, as_zip=True)


def write_legacy(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Return what `torch.save` wrote before PyTorch 1.6, with storages that are numbered.

    It names them by their addresses in memory and puts them in the order of these, which differ from run to run.
    """
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}  # views would bring their whole storage
    data = _saved(tensors, as_zip=False)
    keys = list(dict.fromkeys(re.findall(rb"X[\x05-\x14]\0\0\0(\d{5,20})", data[:LEGACY_PICKLE_BYTES])))
    pickles = data[: data.index(pickle.dumps(sorted(key.decode() for key in keys), 2))]
    for number, key in enumerate(keys):
        pickles = pickles.replace(len(key).to_bytes(4, "little") + key, b"\1\0\0\0%d" % number)
    storages = [tensor.numel().to_bytes(8, "little") + _raw(tensor) for tensor in tensors.values()]
    return pickles + pickle.dumps([str(number) for number in range(len(keys))], 2) + b"".join(storages)


def write_ours(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Return a .pt as this project writes it, where its writer takes these tensors, or else as PyTorch does."""
    arrays = {name: tensor.numpy() for name, tensor in tensors.items() if tensor.dtype != torch.bfloat16}
    given = {"images", "magnitudes", "redshifts"}
    columns = {name: values for name, values in arrays.items() if name not in given}
    try:
        texts = {name: v.view(f"S{v.shape[1]}")[:, 0] if v.ndim == 2 else v for name, v in columns.items()}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "ours.pt"
            write_partition(
                file,
                arrays["images"],
                arrays["magnitudes"],
                arrays.get("redshifts"),
                file_format="pt",
                columns=texts,
            )
            return file.read_bytes()
    except Exception:
        return write_zip(tensors)


def _raw(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _saved(tensors: Mapping[str, torch.Tensor], *, as_zip: bool) -> bytes:
    dataset = TensorDataset.__new__(TensorDataset)  # its own constructor refuses lengths that differ
    dataset.tensors = tuple(tensors.values())
    buffer = io.BytesIO()
    torch.save(dataset, buffer, pickle_protocol=2, _use_new_zipfile_serialization=as_zip)
    return buffer.getvalue()
