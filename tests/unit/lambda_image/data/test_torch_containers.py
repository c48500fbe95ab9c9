"""The files of PyTorch before 1.6, and those that are only named."""

import io
import pickle
import tarfile
import zipfile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_image.data.inert_pickle import ArchiveError
from lambda_image.data.torch_archive import StoredTensor
from lambda_image.data.torch_containers import LEGACY_MAGIC, LEGACY_VERSION, MAX_PICKLE_BYTES
from tests.unit.lambda_image.data.test_torch_archive import opened, read_flipped

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16]
DTYPES += [torch.int8, torch.uint8, torch.bool, torch.complex64, torch.complex128]
STORAGE = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0%sX\3\0\0\0cpuK%cNtQ"


def saved(value: object, protocol: int = 2) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def reference(key: bytes, elements: int) -> bytes:
    """The opcodes of a tensor over the whole of a storage."""
    view = STORAGE % (key, elements) + b"K\0K%c\x85K\1\x85\x89}" % elements
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + view + b"tR"


def legacy(root: bytes, keys: object, storages: bytes, version: object = LEGACY_VERSION) -> bytes:
    first = [pickle.dumps(value, 2) for value in (LEGACY_MAGIC, version, {"little_endian": True})]
    return b"".join(first) + b"\x80\x02" + root + b"." + pickle.dumps(keys, 2) + storages


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_reads_every_dtype(dtype, protocol):
    tensor = (torch.arange(24) % 2 if dtype == torch.bool else torch.arange(24)).to(dtype).reshape(2, 3, 4)
    archive = opened(saved({"before": torch.ones(3), "it": tensor, "after": torch.zeros(5)}, protocol))
    array = archive.array(archive.root["it"])
    expected = tensor.float().numpy() if dtype == torch.bfloat16 else tensor.numpy()
    assert array.dtype == expected.dtype
    assert (array == expected).all()
    assert archive.array(archive.root["after"]).tolist() == [0] * 5


@given(st.data())
def test_reads_views_of_storages_that_are_shared(data):
    base = torch.arange(6 * 5 * 4, dtype=torch.float32).reshape(6, 5, 4)
    views = {}
    for index in range(data.draw(st.integers(1, 4))):
        view = base.permute(data.draw(st.permutations(range(3))))
        for axis in range(3):
            start = data.draw(st.integers(0, view.shape[axis] - 1))
            view = view[(slice(None),) * axis + (slice(start, None, data.draw(st.integers(1, 3))),)]
        views[str(index)] = view
    archive = opened(saved(views))
    for name, view in views.items():
        assert (archive.array(archive.root[name]) == view.numpy()).all()


def test_a_module_comes_with_its_source():
    root = opened(saved(torch.nn.Sequential(torch.nn.Linear(2, 3)))).root
    assert root.name == "torch.nn.modules.container.Sequential"
    assert root.state["_modules"]["0"].state["_parameters"]["weight"].shape == (3, 2)


def test_what_is_written_by_hand_is_read():
    data = legacy(b"(" + reference(b"7", 2) + reference(b"7", 2) + b"t", ["7"], (2).to_bytes(8, "little") + bytes(8))
    assert opened(data).root == (StoredTensor("7", "float32", 0, (2,), (1,)),) * 2


def test_a_storage_of_a_type_that_is_not_read_is_passed_over():
    quantized = (STORAGE % (b"6", 5)).replace(b"FloatStorage", b"QInt8Storage")
    storages = (5).to_bytes(8, "little") + bytes(5) + (2).to_bytes(8, "little") + bytes(8)
    archive = opened(legacy(b"(" + quantized + reference(b"7", 2) + b"t", ["6", "7"], storages))
    assert archive.root[0].name == "torch.QInt8Storage"
    assert archive.array(archive.root[1]).tolist() == [0, 0]


TWO = (2).to_bytes(8, "little") + bytes(8)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (legacy(reference(b"7", 2), ["7"], TWO[:-1]), "cut off within the storage 7: fetch it again"),
        (legacy(reference(b"7", 2), ["7"], b""), "cut off within the storage 7: fetch it again"),
        (legacy(reference(b"7", 2), ["7"], bytes(16)), "storage 7 has 0 elements"),
        (legacy(reference(b"7", 2), ["7"], b"\xff" * 16), "storage 7 has 18,446,744,073,709,551,615 elements"),
        (legacy(reference(b"7", 2), [], b""), "storage 7 is missing"),
        (
            legacy(reference(b"7", 2), ["8", "7"], TWO + TWO),
            "storage 8 has a type that is not read here.*save it again",
        ),
        (legacy(reference(b"7", 2), [7], TWO), "list of storages is malformed"),
        (legacy(reference(b"7", 2), None, TWO), "list of storages is malformed"),
        (legacy(b"(" + reference(b"7", 2) + reference(b"7", 1) + b"t", ["7"], TWO), "storage 7 has two sizes"),
        (legacy(b"N", [], b"", version=1002), "unknown version of the format of PyTorch before 1.6"),
        (pickle.dumps({"a": 1}, 2), "a pickle that torch.save has not written"),
        (legacy((STORAGE % (b"7", 2)).replace(b"NtQ", b"(X\1\0\0\x008K\0K\1ttQ"), ["7"], TWO), "part of another one"),
    ],
)
def test_files_that_do_not_fit_are_refused(data, message):
    with pytest.raises(ArchiveError, match=message) as caught:
        opened(data)
    assert "\n" not in str(caught.value)


def test_every_cut_is_found():
    data = saved({"a": torch.arange(6.0), "b": torch.ones(2, dtype=torch.int64)})
    for length in range(1, len(data)):
        with pytest.raises(ArchiveError, match="cut off"):
            opened(data[:length])


def test_a_pickle_that_does_not_end_is_not_read_to_the_end():
    with pytest.raises(ArchiveError, match="has more than the 33,554,432 bytes"):
        opened(legacy(b"X" + (MAX_PICKLE_BYTES).to_bytes(4, "little") + bytes(MAX_PICKLE_BYTES), [], b""))


WRITTEN = saved({"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.int64)})


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_whatever_is_flipped_only_an_archive_error_comes(data):
    read_flipped(WRITTEN, data)


def test_the_first_format_of_all_is_named():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:", format=tarfile.PAX_FORMAT) as archive:
        for name in ("storages", "tensors", "pickle"):
            archive.addfile(tarfile.TarInfo(name))
    with pytest.raises(ArchiveError, match=r"PyTorch before 0\.1\.10.*save it again"):
        opened(buffer.getvalue())


def test_a_torchscript_program_is_named():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("data.pkl", "code/__torch__.py", "constants.pkl"):
            archive.writestr(f"archive/{name}", b"")
    with pytest.raises(ArchiveError, match=r"TorchScript program.*save the state dict"):
        opened(buffer.getvalue())
