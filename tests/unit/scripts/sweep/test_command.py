import pytest

from lambda_image.errors import UsageError
from scripts.sweep import command
from scripts.sweep.configuration import Configuration
from scripts.sweep.presets import PRESETS
from tests.unit.scripts.flags import parsed


def plan(*words: str) -> list[Configuration]:
    return command.plan_of(parsed(command, *words))


def test_flags_make_a_grid():
    runs = plan("--world-size", "1,2", "--batch-size=8", "--rows", "small,300", "--repeats", "2")
    assert len(runs) == 8
    assert runs[0] == Configuration(1, 8, 250)
    assert runs[-1] == Configuration(2, 8, 300, repeat=2)


def test_a_preset_has_its_repeats():
    assert len(plan("--preset", "partitions")) == 3 * len(PRESETS["partitions"].configurations)
    assert len(plan("--preset", "quick", "--repeats", "5")) == 20


def test_gigabytes_are_files():
    (run,) = plan("--world-size", "4", "--partition-mb", "25", "--total-gb", "0.1", "--repeat-data", "4")
    assert (run.rows, run.partitions, run.copies) == (4 * 1253, 4, 4)


def test_gigabytes_of_a_preset_replace_those_of_the_documents():
    runs = plan("--preset", "partitions", "--total-gb", "0.2,1", "--repeats", "1")
    assert [(one.partition_mb, one.world_size) for one in runs if one.partition_mb in (10, 100)] == [
        *((10, 20), (10, 100), (100, 2), (100, 10)),
    ]


def test_memory_is_a_setting():
    runs = plan("--memory-mb", "128,10240", "--world-size", "1")
    assert [one.memory_mb for one in runs] == [128, 10240]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--preset quick --rows 5", "--rows and --preset name two plans"),
        ("--total-gb 1", "--total-gb needs --partition-mb"),
        ("--partition-mb 25 --total-gb 1 --rows 5", "--rows and --total-gb name two amounts"),
        ("--world-size 1,x", "--world-size is 1,x; allowed: a whole number from 1"),
        ("--world-size 0", "--world-size is 0; allowed"),
        ("--batch-size 99999999", "--batch-size is 99999999; allowed"),
        ("--partition-mb nan", "--partition-mb is nan; allowed"),
        ("--repeats 0", "--repeats is 0; allowed"),
        ("--repeat-data 0", "--repeat-data is 0; allowed"),
        ("--rows huge", "--rows is huge; allowed"),
        ("--preset batches --total-gb 1", "--total-gb and --preset name two plans"),
        ("--preset partitions --total-gb 0", "--total-gb is 0; allowed"),
        ("--preset memory --memory-mb 128", "--memory-mb and --preset name two plans"),
        ("--memory-mb 127", "--memory-mb is 127; allowed: 128 to 10,240"),
    ],
)
def test_wrong_flags(words: str, told: str):
    with pytest.raises(UsageError, match=told):
        plan(*words.split())
