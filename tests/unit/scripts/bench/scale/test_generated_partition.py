import io

import numpy as np

from lambda_image.data.partition import open_partition, read_partition
from lambda_image.data.quality import quality
from lambda_image.storage import Requests
from scripts.bench.scale.generated_partition import FLUX, PIXELS, GeneratedPartition, GeneratedStore


def test_it_is_read_as_a_partition_whose_galaxies_can_be_judged():
    found = read_partition(GeneratedPartition("s3://sky/a", 40))
    assert found.images.shape == (40, 5, 32, 32)
    assert np.all(found.images == np.float32(FLUX))
    assert found.magnitudes.shape == (40, 5)
    assert found.redshifts is not None
    assert len(set(found.columns["objid"])) == 40
    assert not quality(found.images, found.magnitudes, found.redshifts).any()


def test_each_has_galaxies_of_its_own_and_always_the_same():
    one, again, other = (read_partition(GeneratedPartition(name, 3)) for name in ("a", "a", "b"))
    assert np.array_equal(one.magnitudes, again.magnitudes)
    assert not np.array_equal(one.magnitudes, other.magnitudes)


def test_bytes_are_the_same_however_they_are_read():
    rows = 2 * len(PIXELS) // (4 * 5 * 32 * 32)
    whole = GeneratedPartition("a", rows).read()
    assert len(whole) == GeneratedPartition("a", rows).size
    parts = io.BufferedReader(GeneratedPartition("a", rows), 4099)
    assert b"".join(iter(lambda: parts.read(70_001), b"")) == whole


def test_the_store_has_every_partition():
    store = GeneratedStore("sky", 3, Requests())
    with store.open("galaxies/part-7.pt") as source:
        assert len(open_partition(source)) == 3
