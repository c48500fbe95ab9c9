import pytest

from scripts.bench.errors import BenchmarkError
from scripts.bench.scale.summarize_part import check_summary

SUMMARY = {"status": "succeeded", "samples": 40, "ranks_completed": 4, "gathered": True}


def test_a_summary_must_have_all_ranks_and_galaxies():
    check_summary(SUMMARY, 4, 10)
    for name, value in (("status", "failed"), ("samples", 39), ("ranks_completed", 3), ("gathered", False)):
        with pytest.raises(BenchmarkError, match=name):
            check_summary({**SUMMARY, name: value}, 4, 10)
