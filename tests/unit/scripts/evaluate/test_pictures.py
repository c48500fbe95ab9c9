from pathlib import Path

from scripts.evaluate.pictures import draw_bins, draw_images
from tests.unit.scripts.evaluate.test_tables import report


def some() -> dict:
    """Fewer panels, which are drawn faster."""
    whole = report()
    return {**whole, "bins": [one for one in whole["bins"] if one["group"] in ("all", "magnitude r")]}


def test_bins_and_images_are_drawn_with_their_words(tmp_path: Path):
    draw_bins(some(), tmp_path / "bins.svg")
    text = (tmp_path / "bins.svg").read_text()
    for words in ("400 galaxies", "magnitude r", "NMAD", "within 68% error bars"):
        assert words in text
    draw_images(report(), tmp_path / "images.svg")
    text = (tmp_path / "images.svg").read_text()
    assert "zeros: +0.0000" in text
    assert "R² 0.8000 with their own images" in text


def test_what_is_undefined_leaves_no_mark(tmp_path: Path):
    undefined = some()
    none = {"value": None, "low": None, "high": None}
    for one in undefined["bins"]:
        one["measures"] = dict.fromkeys(one["measures"], none)
    undefined["images"]["replaced"][0]["r2_change"] = undefined["images"]["r2"] = none
    draw_bins(undefined, tmp_path / "bins.png")
    draw_images(undefined, tmp_path / "images.png")
    assert (tmp_path / "images.png").read_bytes().startswith(b"\x89PNG")
