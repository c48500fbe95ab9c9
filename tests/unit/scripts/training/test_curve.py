"""What is read of a training's words."""

from pathlib import Path

import pytest

from scripts.training.curve import main, points

SAID = """teachers, magnitudes:   R2 0.8360, MAE 0.01395
    25 s  step    50  loss 0.31332
    50 s  step   100  loss 0.25754
    60 s  step   100  loss 0.25000
  1200 s  step 12345  loss 0.00100
"""


def test_the_curve_has_each_step_once() -> None:
    assert points(SAID) == [(50, 0.31332), (100, 0.25), (12345, 0.001)]


def test_words_without_steps_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.log").write_text("teachers\n")
    with pytest.raises(SystemExit):
        main([str(tmp_path / "train.log"), str(tmp_path / "curve.png")])
    assert "train.log has no line such as" in capsys.readouterr().err
    assert not (tmp_path / "curve.png").exists()
