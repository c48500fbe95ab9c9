import argparse
import io

import pytest

from lambda_image.errors import UsageError
from scripts.bench.comm.command import _without_gloo, run
from scripts.bench.comm.contenders import GLOO
from scripts.bench.comm.plan import QUICK
from scripts.step_progress import StepProgress


def flags(**given: object) -> argparse.Namespace:
    unset = {"only": "barrier", "quick": True, "ranks": None, "calibrate": False, "picture": None, "json": None}
    return argparse.Namespace(**unset | given)


def test_without_pytorch_the_others_are_measured_and_that_is_said() -> None:
    said = io.StringIO()
    plan = _without_gloo(QUICK, StepProgress(said))
    assert len(plan.contenders) == len(QUICK.contenders) - 1
    assert all(one.kind != GLOO for one in plan.contenders)
    assert "PyTorch is not installed" in said.getvalue()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"calibrate": True, "picture": "x.png"}, "--picture with --calibrate"),
        ({"only": "gathers"}, "--only"),
        ({"ranks": "1"}, "--ranks"),
        ({"ranks": "65"}, "--ranks"),
    ],
)
def test_flags_that_cannot_be_meant_are_refused_before_anything_starts(given: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(flags(**given))
