import resource
from pathlib import Path

import pytest

from lambda_image import process
from lambda_image.cost import PRICE_LIST


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({"cpu.max": "58000 100000\n"}, 1),
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "100000000 100000\n"}, None),
        ({"cpu.max": "nonsense"}, None),
        ({}, None),
    ],
)
def test_a_containers_quota_counts(tmp_path: Path, files: dict[str, str], cpus: int | None):
    unlimited = process.usable_cpus(tmp_path)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert process.usable_cpus(tmp_path) == (cpus or unlimited)


def test_the_architecture_is_one_that_lambda_knows():
    assert process.architecture(lambda: "aarch64") == process.architecture(lambda: "arm64") == "arm64"
    assert process.architecture(lambda: "x86_64") == "x86_64"
    assert process.architecture() in PRICE_LIST["usd"]["lambda_gb_second"]


def test_descriptors_are_those_that_a_process_may_have():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(200, soft), hard))
        assert process.most_descriptors() == min(200, soft)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert 0 < process.most_descriptors() <= process.MANY_DESCRIPTORS
