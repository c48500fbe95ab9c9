from collections import Counter

import pytest

from lambda_image.data.partition import read_partition
from scripts.bench.input.mutations import BYTES, HEADERS, PICKLES, VALUES, mutate
from scripts.bench.input.originals import GALAXIES, originals
from scripts.bench.input.readers import content_of, read_independently


@pytest.fixture(scope="module")
def good():
    return originals()


def test_good_files_are_good(good):
    for original in good:
        data = original.write(original.tensors)
        read = read_independently(data, is_safetensors=original.is_safetensors)
        assert read is not None
        ours = read_partition(data)
        for theirs in (read, ours):
            expected = content_of(original.tensors)
            for name in ("images", "magnitudes", "rows"):
                assert getattr(theirs, name).tobytes() == getattr(expected, name).tobytes(), (original.name, name)
        assert len(ours) == GALAXIES
        assert ours.columns.keys() == read.columns.keys()


def test_a_number_and_a_seed_give_one_mutation(good):
    assert mutate(0, 5, good).data == mutate(0, 5, originals()).data
    assert mutate(0, 5, good).data != mutate(1, 5, good).data
    assert mutate(0, 5, good).data != mutate(0, 6, good).data


def test_every_kind_comes_with_every_way_to_read(good):
    found = [mutate(0, number, good) for number in range(300)]
    assert {mutation.kind for mutation in found} == {*VALUES, *BYTES, *HEADERS, *PICKLES}
    assert {mutation.original.name for mutation in found} == {original.name for original in good}
    ways = Counter(mutation.on_bad_row for mutation in found)
    assert ways["flag"] > ways["skip"] > 0 < ways["fail"]
    assert 0 < sum(mutation.rows is not None for mutation in found) < 100
    assert all("\n" not in mutation.change for mutation in found)
