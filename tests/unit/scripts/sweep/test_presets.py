import pytest

from scripts.sweep.presets import PRESETS

COUNTS = {
    "quick": 4,
    "states": 3,
    "worlds": 20,
    "scenarios": 9,
    "comparison": 17,
    "batches": 11,
    "partitions": 35,
    "file-limits": 4,
    "memory": 10,
}


@pytest.mark.parametrize("name", COUNTS)
def test_the_documents_matrices(name: str):
    assert len(set(PRESETS[name].configurations)) == COUNTS[name]
    assert PRESETS.keys() == COUNTS.keys()


def test_the_published_run_of_12_6_gb_in_files_of_25_mb_has_504_ranks():
    largest = max(PRESETS["partitions"].configurations, key=lambda one: one.rows if one.partition_mb == 25 else 0)
    assert (largest.world_size, largest.rows) == (504, 504 * 1253)


def test_file_limits_are_those_of_25_mb_unless_other_data_are_asked_for():
    preset = PRESETS["file-limits"]
    assert [(one.world_size, one.file_limit, one.rows, one.partition_mb) for one in preset.configurations] == [
        (limit, limit, 120 * 1253, 25) for limit in (10, 40, 80, 120)
    ]
    assert preset.of_gigabytes is not None
    assert {(one.rows, one.partition_mb) for one in preset.of_gigabytes([0.12])} == {(120 * 50, 1)}
