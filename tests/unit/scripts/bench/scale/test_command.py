import pytest

from lambda_image.errors import UsageError
from scripts.bench import scale
from scripts.bench.scale.command import plan_of
from scripts.bench.scale.plan import QUICK, ScalePlan
from tests.unit.scripts.flags import parsed


def test_the_flags_make_the_plan():
    assert plan_of(parsed(scale)) == ScalePlan()
    assert plan_of(parsed(scale, "--quick")) == QUICK
    plan = plan_of(
        parsed(scale, "--objects", "10,1000", "--ranks", "7,70", "--answer-ms", "5", "--loads", "20", "--rows", "9")
    )
    assert (plan.objects, plan.ranks, plan.answer_s, plan.loads, plan.rows) == ((10, 1000), (7, 70), 0.005, (20,), 9)
    assert plan_of(parsed(scale, "--gather-limit", "0")).gather_limit == 0


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
        plan_of(parsed(scale, flag, value))
