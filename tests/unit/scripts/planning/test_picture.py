import re
from pathlib import Path

from lambda_image.cost import BillingTerms
from scripts.planning.choices import choices, pareto
from scripts.planning.picture import draw
from tests.unit.scripts.planning.test_prediction import THERE


def test_the_front_is_labelled(tmp_path: Path):
    every = choices(THERE, 200_000, [25, 100], [1024, 1769, 10_240], [], 1000, BillingTerms())
    draw(THERE, every, pareto(every), tmp_path / "plan.svg")
    text = (tmp_path / "plan.svg").read_text()
    assert "<svg" in text
    assert text.count("10,240 MB") >= 1  # as text of a comment, since glyphs are drawn as paths
    assert text.count("opacity: 0.8") == len(re.findall(r"<!-- \d+ MB, [\d,]+ MB -->", text)) > 0  # behind each label
