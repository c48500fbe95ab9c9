"""Archives as PyTorch writes them, and as someone would who means harm."""

import builtins
import contextlib
import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_image.data.byte_source import byte_source
from lambda_image.data.inert_pickle import MAX_STEPS, ArchiveError, Inert
from lambda_image.data.torch_archive import StoredTensor, TorchArchive
from lambda_image.data.torch_containers import MAX_PICKLE_BYTES

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16]
DTYPES += [torch.int8, torch.uint8, torch.bool]


def saved(value: object, **options: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def opened(data: bytes) -> TorchArchive:
    return TorchArchive(byte_source(data))


def read_flipped(written: bytes, data: st.DataObject) -> None:
    """Reads every tensor of what was written, some of whose bytes are others now."""
    raw = bytearray(written)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ArchiveError):
        archive = opened(bytes(raw))
        for tensor in archive.root.values() if isinstance(archive.root, dict) else (archive.root,):
            if isinstance(tensor, StoredTensor):
                archive.array(tensor)


def archive_of(
    data_pkl: bytes, storages: dict[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data_pkl)
        for key, data in (storages or {}).items():
            archive.writestr(f"archive/data/{key}", data)
    return buffer.getvalue()


def tensor_pickle(
    elements: int, offset: object, shape: object, strides: object, storage: bytes = b"FloatStorage"
) -> bytes:
    def literal(value: object) -> bytes:
        return pickle.dumps(value, protocol=2)[2:-1]

    reference = b"(" + literal("storage") + b"ctorch\n" + storage + b"\n" + literal("0") + literal("cpu")
    reference += literal(elements) + b"tQ"
    view = reference + literal(offset) + literal(shape) + literal(strides) + literal(False) + b"}"
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + view + b"tR."


class Payload:
    """Pickles as a call."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call


# --- what PyTorch writes


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_reads_every_dtype(dtype):
    tensor = (torch.arange(24) % 2 if dtype == torch.bool else torch.arange(24)).to(dtype).reshape(2, 3, 4)
    archive = opened(saved(tensor))
    array = archive.array(archive.root)
    expected = tensor.float().numpy() if dtype == torch.bfloat16 else tensor.numpy()
    assert array.dtype == expected.dtype
    assert (array == expected).all()


@given(st.data())
def test_reads_views_as_they_are(data):
    """Slices, transposes and steps keep their storage when saved: offsets and strides must be followed."""
    base = torch.arange(6 * 5 * 4, dtype=torch.float32).reshape(6, 5, 4)
    view = base.permute(data.draw(st.permutations(range(3))))
    for axis in range(3):
        start = data.draw(st.integers(0, view.shape[axis] - 1))
        stop = data.draw(st.integers(start, view.shape[axis]))
        view = view[(slice(None),) * axis + (slice(start, stop, data.draw(st.integers(1, 3))),)]
    raw = saved(view)
    first = data.draw(st.integers(0, len(view)))
    last = data.draw(st.integers(first, len(view)))
    for source in (raw, io.BytesIO(raw)):
        archive = TorchArchive(byte_source(source))
        assert archive.root.shape == tuple(view.shape)
        assert (archive.array(archive.root) == view.numpy()).all()
        assert (archive.array(archive.root, first, last) == view[first:last].numpy()).all()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_reads_every_pickle_protocol(protocol):
    value = OrderedDict(weight=torch.ones(3), size=torch.Size([1, 2]), names={"a"}, deep=[(1, 2.5, None, True, "text")])
    root = opened(saved(value, pickle_protocol=protocol)).root
    assert list(root) == ["weight", "size", "names", "deep"]
    assert root["weight"] == StoredTensor("0", "float32", 0, (3,), (1,))
    assert root["size"] == (1, 2)
    assert root["names"] == {"a"}
    assert root["deep"] == [(1, 2.5, None, True, "text")]


def test_a_scalar_and_a_parameter():
    archive = opened(saved([torch.tensor(7.5), torch.nn.Parameter(torch.ones(2))]))
    assert archive.array(archive.root[0]) == 7.5
    assert archive.array(archive.root[1]).tolist() == [1, 1]


def test_a_mapped_file_is_not_copied(tmp_path: Path):
    path = tmp_path / "tensor.pt"
    torch.save(torch.ones(1000), path)
    archive = TorchArchive(byte_source(path))
    array = archive.array(archive.root)
    assert not array.flags.owndata
    assert array.flags.writeable  # PyTorch warns of arrays that are not
    array[0] = 2
    assert torch.load(path)[0] == 1


def test_reads_only_what_it_needs():
    read = []

    class Counted(io.BytesIO):
        def readinto(self, buffer: memoryview) -> int:
            read.append(len(buffer))
            return super().readinto(buffer)

    archive = TorchArchive(byte_source(Counted(saved(torch.zeros(1000, 100)))))
    assert archive.root.shape == (1000, 100)
    assert sum(read) < 5_000
    archive.array(archive.root, 10, 20)
    assert sum(read) < 5_000 + 10 * 400 + 100


def test_big_endian_archives_are_read(tmp_path: Path):
    values = np.arange(6, dtype=">f4")
    data = archive_of(tensor_pickle(6, 0, (6,), (1,)), {"0": values.tobytes()})
    with zipfile.ZipFile(path := tmp_path / "big.pt", "w") as archive:
        with zipfile.ZipFile(io.BytesIO(data)) as little:
            for name in little.namelist():
                archive.writestr(name, little.read(name))
        archive.writestr("archive/byteorder", "big")
    big = TorchArchive(byte_source(path))
    assert big.array(big.root).tolist() == [0, 1, 2, 3, 4, 5]


def test_modules_become_inert():
    module = torch.nn.Sequential(torch.nn.Linear(2, 3))
    root = opened(saved(module)).root
    assert isinstance(root, Inert)
    assert root.name == "torch.nn.modules.container.Sequential"
    linear = root.state["_modules"]["0"]
    assert linear.state["in_features"] == 2
    assert linear.state["_parameters"]["weight"].shape == (3, 2)


def test_checksums_may_be_switched_off():
    torch.serialization.set_crc32_options(False)
    try:
        data = saved(torch.ones(5))
    finally:
        torch.serialization.set_crc32_options(True)
    archive = opened(data)
    assert archive.array(archive.root).tolist() == [1] * 5


# --- what someone writes who means harm

CALLS = {
    "posix.system": Payload(os.system, "touch {marker}"),
    "builtins.eval": Payload(eval, "open({marker!r}, 'w')"),
    "builtins.exec": Payload(exec, "open({marker!r}, 'w')"),
    "builtins.getattr": Payload(getattr, "text", "upper"),
    "builtins.__import__": Payload(builtins.__import__, "os"),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_call_becomes_inert_and_is_not_made(name, protocol, tmp_path: Path):
    marker = tmp_path / "executed"
    function, arguments = CALLS[name].call
    call = Payload(function, *(argument.format(marker=str(marker)) for argument in arguments))
    root = opened(archive_of(pickle.dumps(call, protocol=protocol))).root
    assert isinstance(root, Inert)
    assert root.name == (name if protocol > 2 else name.replace("builtins", "__builtin__"))
    assert root.args == call.call[1]
    assert not marker.exists()


@pytest.mark.parametrize(
    "name",
    [
        "torch.load",
        "torch.hub.load",
        "torch._utils._rebuild_qtensor",
        "torch.nn.functional.relu",
        "collections.OrderedDict.fromkeys",
        "numpy.core.multiarray._reconstruct",
        "torch.storage._load_from_bytes",
        "a_module_that_does_not_exist.Thing",
    ],
)
@pytest.mark.parametrize("use", [b"", b")R", b")\x81", b")}\x92", b")R}b", b")R}N}sb"])
def test_any_name_may_be_used_in_any_way_and_stays_a_name(name, use):
    module, _, attribute = name.rpartition(".")
    root = opened(archive_of(b"\x80\x02" + f"c{module}\n{attribute}\n".encode() + use + b".")).root
    assert isinstance(root, Inert)
    assert root.name == name


def test_dotted_names_do_not_reach_attributes():
    """Protocol 4 resolves `a.b.c` attribute by attribute."""
    pickled = b"\x80\x04\x8c\x0bcollections\x8c\x20OrderedDict.__init__.__globals__\x93."
    assert opened(archive_of(pickled)).root.name == "collections.OrderedDict.__init__.__globals__"


@pytest.mark.parametrize(
    ("pickled", "opcode"),
    [
        (b"\x80\x02(S'x'\nios\nsystem\n.", "STRING"),
        (b"\x80\x02(cos\nsystem\nS'x'\no.", "STRING"),
        (b"\x80\x02(cos\nsystem\no.", "OBJ"),
        (b"\x80\x02\xff.", "0xff"),
        (b"\x80\x02(ios\nsystem\n.", "INST"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x02P0\n.", "PERSID"),
        (b"\x80\x02\x8b\xff\xff\xff\x7f.", "LONG4"),
        (b"\x80\x02Vx\n.", "UNICODE"),
    ],
)
def test_refuses_opcodes_that_no_tensor_needs(pickled, opcode):
    with pytest.raises(ArchiveError, match=opcode):
        opened(archive_of(pickled))


def test_a_memo_index_cannot_claim_memory():
    """Python's machine allocates as many entries as the index says, 64 GiB here."""
    assert opened(archive_of(b"\x80\x02Nr\xff\xff\xff\xff.")).root is None


def test_a_huge_pickle_is_not_read():
    with pytest.raises(ArchiveError, match="at most"):
        opened(archive_of(b"\x80\x02" + b"N" * MAX_PICKLE_BYTES))
    with pytest.raises(ArchiveError, match="more than 1,000,000 steps"):
        opened(archive_of(b"\x80\x02" + b"N0" * (MAX_STEPS // 2) + b"N."))


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (5,), (1,)),
        (1, (4,), (1,)),
        (0, (2,), (4,)),
        (0, (10**12,), (0,)),
        (0, (2**40, 2**40), (0, 0)),
        (-1, (1,), (1,)),
        (0, (-1,), (1,)),
        (0, (1,), (-1,)),
        (0, (2,), (1, 1)),
        (0, (1,) * 9, (1,) * 9),
        (0, (2**70,), (1,)),
        (0, (True,), (1,)),
        (0, [4], [1]),
        (0, (4.0,), (1,)),
        (0, "4", "1"),
    ],
)
def test_refuses_tensors_that_do_not_fit_their_storage(offset, shape, strides):
    with pytest.raises(ArchiveError, match="it holds a tensor"):
        opened(archive_of(tensor_pickle(4, offset, shape, strides), {"0": bytes(16)}))


@pytest.mark.parametrize("elements", [3, 5, 2**62, -1, 4.0, None])
def test_refuses_storages_of_another_size(elements):
    with pytest.raises(ArchiveError, match=r"data/0 has 16 bytes|size that is none"):
        opened(archive_of(tensor_pickle(elements, 0, (1,), (1,)), {"0": bytes(16)}))


@pytest.mark.parametrize("shape", [(2**62, 0), (0, 2**62), (2**40, 2**40, 0)])
def test_refuses_empty_tensors_that_numpy_cannot_have(shape):
    archive = opened(archive_of(tensor_pickle(4, 0, shape, (1,) * len(shape)), {"0": bytes(16)}))
    with pytest.raises(ArchiveError, match="which cannot be"):
        archive.array(archive.root)


def test_refuses_missing_storages():
    with pytest.raises(ArchiveError, match="data/0 is missing"):
        opened(archive_of(tensor_pickle(4, 0, (4,), (1,))))


def test_a_tensor_of_an_unknown_type_is_inert():
    root = opened(archive_of(tensor_pickle(4, 0, (4,), (1,), b"ObjectStorage"), {"0": bytes(16)})).root
    assert isinstance(root, Inert)


@pytest.mark.parametrize("state", [b"}X\x05\0\0\0shapeX\x01\0\0\0xs", b"N}X\x05\0\0\0dtypeX\x01\0\0\0Os\x86", b"]"])
def test_a_tensor_once_checked_cannot_be_changed(state):
    checked = tensor_pickle(4, 0, (4,), (1,))[:-1]
    archive = opened(archive_of(checked + state + b"b.", {"0": bytes(16)}))
    assert archive.root == StoredTensor("0", "float32", 0, (4,), (1,))


def test_what_a_pickle_does_to_names_ends_with_it():
    """BUILD sets attributes on whatever it is given, also on what a name resolved to."""
    names = [
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ctorch.nn.modules.linear\nLinear\n",
        b"ccollections\nOrderedDict\n",
    ]
    for name in names:
        for attribute in (b"__defaults__", b"__setstate__", b"name", b"x"):
            pickled = b"\x80\x02" + name + b"N}\x8c" + bytes([len(attribute)]) + attribute + b")s\x86b."
            with contextlib.suppress(ArchiveError):
                opened(archive_of(pickled))
    archive = opened(saved(torch.nn.Linear(2, 2)))
    assert archive.root.name == "torch.nn.modules.linear.Linear"
    assert not hasattr(OrderedDict, "x")


def test_a_state_that_is_no_dict_is_dropped():
    assert opened(archive_of(b"\x80\x02ctorch.nn\nLinear\n)\x81]b.")).root.state == {}


# --- files that broke on the way


def test_truncated_archives_are_refused():
    data = saved(torch.ones(100))
    for length in (0, 1, 10, len(data) // 2, len(data) - 1):
        with pytest.raises(ArchiveError, match=r"cut off.*fetch it again"):
            opened(data[:length])


def test_damaged_bytes_are_found():
    data = bytearray(saved(torch.arange(1000, dtype=torch.float32)))
    data[data.index(struct.pack("<f", 500.0))] ^= 1
    archive = opened(bytes(data))
    with pytest.raises(ArchiveError, match="data/0 is damaged"):
        archive.array(archive.root)


def test_compressed_entries_are_refused():
    data = archive_of(pickle.dumps([1], protocol=2), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ArchiveError, match=r"data\.pkl is compressed"):
        opened(data)


def test_other_zips_are_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ArchiveError, match=r"without a data\.pkl"):
        opened(buffer.getvalue())


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_whatever_is_flipped_only_an_archive_error_comes(data):
    read_flipped(saved({"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.int64)}), data)


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_whatever_is_flipped_in_the_pickle_only_an_archive_error_comes(data):
    pickled = bytearray(tensor_pickle(4, 0, (2, 2), (2, 1)))
    for _ in range(data.draw(st.integers(1, 4))):
        pickled[data.draw(st.integers(0, len(pickled) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ArchiveError):
        archive = opened(archive_of(bytes(pickled), {"0": bytes(16)}))
        if isinstance(archive.root, StoredTensor):
            archive.array(archive.root)


@given(st.binary(max_size=200))
@settings(deadline=None, max_examples=300)
def test_whatever_the_pickle_only_an_archive_error_comes(noise):
    with contextlib.suppress(ArchiveError):
        opened(archive_of(b"\x80\x02" + noise))
