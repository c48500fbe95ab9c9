import argparse

import pytest

from lambda_image.errors import UsageError
from scripts.bench import scale
from scripts.bench.scale.command import plan_of
from scripts.bench.scale.plan import QUICK, ScalePlan


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    scale.add_arguments(parser)
    return parser.parse_args(words)


def test_the_flags_make_the_plan():
    assert plan_of(parsed()) == ScalePlan()
    assert plan_of(parsed("--quick")) == QUICK
    plan = plan_of(
        parsed("--objects", "10,1000", "--ranks", "7,70", "--answer-ms", "5", "--loads", "20", "--rows", "9")
    )
    assert (plan.objects, plan.ranks, plan.answer_s, plan.loads, plan.rows) == ((10, 1000), (7, 70), 0.005, (20,), 9)
    assert plan_of(parsed("--gather-limit", "0")).gather_limit == 0


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--objects", "0"),
        ("--objects", "many"),
        ("--ranks", "10001"),
        ("--ranks", "1"),
        ("--loads", "0"),
        ("--rows", "0"),
        ("--gather-limit", "-1"),
        ("--answer-ms", "-1"),
    ],
)
def test_a_wrong_value_is_refused_by_its_flag(flag: str, value: str):
    with pytest.raises(UsageError, match=f"{flag} is"):
        plan_of(parsed(flag, value))
