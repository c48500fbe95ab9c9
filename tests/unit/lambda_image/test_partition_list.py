import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.errors import PartitionMissing
from lambda_image.manifest import Slice
from lambda_image.partition_list import PartitionList, choose_partitions, name_in, row_of, size_in
from lambda_image.partition_names import natural_order
from lambda_image.storage import ObjectInfo

PLACE = "s3://b/d/"


def listed(*names: str, **sizes: int) -> list[ObjectInfo]:
    """Objects under d/, of 9 bytes where `sizes` has no other; `_1` there stands for 1.pt."""
    empty = {name.replace("_", "") + ".pt": size for name, size in sizes.items()}
    return [
        ObjectInfo(f"d/{name}", size, f"etag of {name}") for name, size in (dict.fromkeys(names, 9) | empty).items()
    ]


def test_partitions_are_chosen_by_suffix_in_natural_order():
    found = listed("10.PT", "2.pt", "3.safetensors")
    chosen = [Slice(f"d/{name}", etag=f"etag of {name}") for name in ("2.pt", "3.safetensors", "10.PT")]
    for limit in (None, 2):
        partitions, warnings = choose_partitions(found, "d/", PLACE, limit)
        assert (list(partitions), warnings) == (chosen[:limit], [])


def test_what_is_not_a_partition_is_left_out_with_a_warning():
    found = listed("1.pt", "._1.pt", ".DS_Store", "readme.txt", "old/", "")  # the last as consoles of S3 make a folder
    partitions, (warning,) = choose_partitions(found, "d/", PLACE, None)
    assert [part.key for part in partitions] == ["d/1.pt"]
    assert warning == (
        "2 hidden files (.DS_Store, ._1.pt), 1 folder (old/) and 1 file of another kind (readme.txt) in s3://b/d/ "
        "are not read"
    )


def test_an_object_without_bytes_is_left_out_with_a_warning_that_names_it():
    partitions, (warning,) = choose_partitions(listed("1.pt", "3.pt", _2=0), "d/", PLACE, None)
    assert [part.key for part in partitions] == ["d/1.pt", "d/3.pt"]
    assert warning == "1 of 3 partitions in s3://b/d/ have 0 bytes and no galaxies: 2.pt"
    with pytest.raises(PartitionMissing, match=r"all partitions in s3://b/d/ have 0 bytes \(1\.pt, 2\.pt\)"):
        choose_partitions(listed(_1=0, _2=0), "d/", PLACE, None)


def test_a_gap_in_the_numbers_that_are_used_is_a_warning():
    found = listed("1.pt", "3.pt", "4.pt", "6.pt")
    assert choose_partitions(found, "d/", PLACE, None).warnings == [
        "2 and 5 are missing between 1 and 6 among the numbers of the partitions in s3://b/d/"
    ]
    assert choose_partitions(found, "d/", PLACE, 1).warnings == []


def test_the_root_of_a_bucket_is_a_place_of_partitions():
    found = [ObjectInfo("2.pt", 9, "e"), ObjectInfo("results/", 0, "")]
    partitions, (warning,) = choose_partitions(found, "", "s3://b/", None)
    assert list(partitions) == [Slice("2.pt", etag="e")]
    assert warning == "1 folder (results/) in s3://b/ is not read"


@pytest.mark.parametrize(
    ("names", "words"), [([], r"safetensors: upload"), (["readme.txt", "old/"], r"1 folder \(old/\) and 1 file")]
)
def test_no_partitions(names, words):
    with pytest.raises(PartitionMissing, match=words) as raised:
        choose_partitions(listed(*names), "d/", PLACE, None)
    assert str(raised.value).startswith("no object in s3://b/d/ ends in .pt, .pth, .safetensors")


def test_objects_of_the_fields_formats_are_refused_with_the_command_that_imports_them():
    with pytest.raises(
        PartitionMissing, match=r"data_prefix; `cosmicai import FILES --out partitions/` makes .* \.fits"
    ):
        choose_partitions(listed("a.fits", "b.fits", "readme.txt"), "d/", PLACE, None)


NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1) | st.from_regex(
    r"[ab]{0,2}[0-9]{1,4}[ab]{0,2}[0-9]{0,3}\.pt", fullmatch=True
)


@given(st.lists(NAMES, unique=True), st.integers(0, 2**40), st.text('0123456789abcdef-"'))
def test_a_row_tells_name_size_and_etag_and_sorts_as_its_name(names: list[str], size: int, etag: str):
    rows = sorted(row_of(name, size, etag) for name in names)
    assert list(map(name_in, rows)) == sorted(names, key=natural_order)
    assert set(map(size_in, rows)) <= {size}
    assert list(PartitionList("d/", rows)) == [Slice(f"d/{name_in(row)}", etag=etag) for row in rows]


def test_some_of_the_partitions_are_a_list_of_them_too():
    partitions = choose_partitions(listed("1.pt", "10.pt", _2=5), "d/", PLACE, None).partitions
    assert [part.key for part in partitions[1:]] == ["d/2.pt", "d/10.pt"]
    assert list(partitions[1:].sizes()) == [5, 9]
    assert list(partitions.names) == ["1.pt", "2.pt", "10.pt"]
    assert "2.pt" in partitions.names
    assert "3.pt" not in partitions.names


def test_a_partition_takes_little_memory_while_it_is_listed_sorted_and_kept():
    count = 8_000
    numbers = random.Random(1).sample(range(count), count)
    found = (ObjectInfo(f"d/part-{n:06d}.pt", 30_000_000 + n, f'"{n:032x}"') for n in numbers)
    tracemalloc.start()
    try:
        partitions, warnings = choose_partitions(found, "d/", PLACE, None)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (len(partitions), warnings, partitions[7].key) == (count, [], "d/part-000007.pt")
    assert most / count < 200  # bytes, so that a million take less than half of Init's memory
