from pathlib import Path

import pytest

from scripts.bench.scale.stand_in import StandInObjects


def test_requests_are_counted_by_name_and_no_other_name_is_known(tmp_path: Path):
    objects = StandInObjects(tmp_path, "gets", "puts")
    objects.count(gets=1)
    objects.count(gets=2, puts=1)
    assert objects.counts == {"gets": 3, "puts": 1}
    with pytest.raises(KeyError):
        objects.count(heads=1)


def test_each_key_has_a_file_of_its_own_in_the_folder(tmp_path: Path):
    objects = StandInObjects(tmp_path)
    keys = ("a/b", "a_b", "../b", "b" * 1000)
    files = {objects.file(key) for key in keys}
    assert len(files) == len(keys)
    assert {file.parent for file in files} == {tmp_path}
