"""The published format of a partition: a pickled `TensorDataset(images, magnitudes[, redshifts])`.

The pickle is not executed, see inert_pickle, and writing one needs no PyTorch either. Columns of the user are further
tensors of the dataset, which have no names, or they are in the dictionary that the dataset has as its attribute
`columns`. The attribute is what is written here, since programs that read the published files expect three tensors.
"""

import functools
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lambda_image.data.byte_source import ByteSource
from lambda_image.data.file_content import BANDS_FLAG, BEGINNING, Column, ForeignFormat, FormatError
from lambda_image.data.inert_pickle import ArchiveError, Inert, not_allowed, shown
from lambda_image.data.torch_archive import STORAGE_TYPES, TENSOR_DATASET, UNTYPED_DTYPES, StoredTensor, TorchArchive
from lambda_image.data.torch_containers import LOCAL_HEADER_BYTES

DATASET_ORDER: tuple[str, ...] = ("images", "magnitudes", "redshifts")
DATASETS = {f"torch.utils.data.dataset.{name}" for name in ("Subset", "ConcatDataset", "StackDataset")}
STORAGE_NAMES = {dtype: name for name, dtype in STORAGE_TYPES.items() if name != "UntypedStorage"}
ALIGNMENT = 64  # of tensors in a .pt, as PyTorch aligns them


def torch_columns(source: ByteSource) -> dict[str, Column]:
    """The tensors of the dataset by name, in their order there."""
    try:
        archive = TorchArchive(source)
    except ArchiveError as error:
        beginning = source.peek(BEGINNING)
        if beginning.startswith(b"PK"):  # a zip of something else, as .npz is one
            raise ForeignFormat(str(error), beginning=beginning) from error
        raise
    if isinstance(archive.root, Inert) and archive.root.name in DATASETS:
        kind = archive.root.name.rpartition(".")[2]
        raise ForeignFormat(f"it is a {kind} of PyTorch and no TensorDataset", BANDS_FLAG)
    if not (isinstance(archive.root, Inert) and archive.root.name == TENSOR_DATASET):
        from lambda_image.data.weights import WEIGHTS, hold_weights  # late: it is wrong already

        if hold_weights(archive.root):
            raise FormatError(WEIGHTS)
    if isinstance(archive.root, Inert) and archive.root.name != TENSOR_DATASET:
        raise not_allowed(archive.root.name, "a TensorDataset(images, magnitudes[, redshifts]) is needed")
    state = archive.root.state if isinstance(archive.root, Inert) else {}
    tensors = state.get("tensors")
    if not isinstance(tensors, tuple) or not all(isinstance(tensor, StoredTensor) for tensor in tensors):
        problem = "it is a PyTorch archive of something else than the TensorDataset that is needed"
        raise ForeignFormat(problem, BANDS_FLAG)
    if not tensors:
        raise FormatError("its TensorDataset has no tensors; images, magnitudes[, redshifts] are needed")
    named = state.get("columns")
    if not isinstance(named, dict) or not any(isinstance(tensor, StoredTensor) for tensor in named.values()):
        named = {}  # an attribute of another meaning, which a dataset may have
    for name, tensor in named.items():
        if not (isinstance(name, str) and isinstance(tensor, StoredTensor)):
            raise FormatError(f"its column {shown(str(name), 100)} is no tensor that can be read: save it again")

    def column(tensor: StoredTensor) -> Column:
        # Of a file in memory the whole tensor is taken: that verifies its checksum and mostly copies nothing.
        whole = functools.cache(lambda: archive.array(tensor))

        def read(start: int, stop: int) -> np.ndarray:
            return whole()[start:stop] if source.in_memory else archive.array(tensor, start, stop)

        return Column(tensor.dtype, tensor.shape, read)

    order = DATASET_ORDER
    if len(tensors) == 2 and len(tensors[1].shape) == 1:  # of a network that takes no magnitudes
        order = ("images", "redshifts")
    placed = dict(zip([*order, *_names_by_place(tensors[3:])], tensors, strict=False))
    if twice := sorted(placed.keys() & named.keys()):
        raise FormatError(f"its column {twice[0]!r} is there twice: rename one")
    return {name: column(tensor) for name, tensor in {**placed, **named}.items()}


def _names_by_place(tensors: tuple[StoredTensor, ...]) -> list[str]:
    """Names for the tensors that follow the first three: the only one of int64 is an id."""
    only = sum(tensor.dtype == "int64" for tensor in tensors) == 1
    return [
        "object_id" if only and tensor.dtype == "int64" else f"column_{place}"
        for place, tensor in enumerate(tensors, start=len(DATASET_ORDER) + 1)
    ]


def write_tensor_dataset(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes what `torch.save(TensorDataset(images, magnitudes[, redshifts]), path)` would, without PyTorch.

    Arrays of other names are put into the dataset's attribute `columns`.
    """
    dataset_names = [name for name in DATASET_ORDER if name in arrays]
    column_names = [name for name in arrays if name not in DATASET_ORDER]
    stored = [arrays[name] for name in (*dataset_names, *column_names)]

    def literal(value: object) -> bytes:  # the opcodes of a plain value, without the pickle's start and stop
        return pickle.dumps(value, protocol=2)[2:-1]

    def name(module: str, attribute: str) -> bytes:
        return pickle.GLOBAL + f"{module}\n{attribute}\n".encode()

    def group(*parts: bytes) -> bytes:
        return pickle.MARK + b"".join(parts) + pickle.TUPLE

    tensors = []
    for key, array in enumerate(stored):
        dtype = array.dtype.name
        untyped = dtype in UNTYPED_DTYPES
        kind = name("torch.storage", "UntypedStorage") if untyped else name("torch", STORAGE_NAMES[dtype])
        size = array.nbytes if untyped else array.size
        storage = group(literal("storage"), kind, literal(str(key)), literal("cpu"), literal(size))
        strides = tuple(stride // array.itemsize for stride in array.strides)
        hooks = name("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE
        view = [storage + pickle.BINPERSID, literal(0), literal(array.shape), literal(strides), literal(False), hooks]
        view += [name("torch", dtype)] if untyped else []
        rebuild = name("torch._utils", "_rebuild_tensor_v3" if untyped else "_rebuild_tensor_v2")
        tensors.append(rebuild + group(*view) + pickle.REDUCE)
    count = len(dataset_names)
    state = pickle.EMPTY_DICT + literal("tensors") + group(*tensors[:count]) + pickle.SETITEM
    if column_names:
        pairs = [literal(column) + tensor for column, tensor in zip(column_names, tensors[count:], strict=True)]
        columns = pickle.EMPTY_DICT + pickle.MARK + b"".join(pairs) + pickle.SETITEMS
        state += literal("columns") + columns + pickle.SETITEM
    dataset = name(*TENSOR_DATASET.rsplit(".", 1)) + pickle.EMPTY_TUPLE + pickle.NEWOBJ + state + pickle.BUILD

    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        entries: dict[str, bytes | memoryview] = {
            "data.pkl": pickle.PROTO + b"\x02" + dataset + pickle.STOP,
            "byteorder": b"little",
            **{f"data/{key}": array.reshape(-1).view(np.uint8).data for key, array in enumerate(stored)},
            "version": b"3\n",
        }
        for entry, data in entries.items():
            info = zipfile.ZipInfo(f"archive/{entry}")
            # PyTorch aligns data to 64 bytes, by an extra field of the entry's header; so it can be used where it lies.
            start = archive.start_dir + LOCAL_HEADER_BYTES + len(info.filename) + 4
            padding = -start % ALIGNMENT
            info.extra = b"FB" + padding.to_bytes(2, "little") + bytes(padding)
            archive.writestr(info, data)
