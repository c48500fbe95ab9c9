import json
import re
from pathlib import Path

from scripts.report.page import config, drawing_library, to_html
from scripts.report.run_page import run_page
from tests.unit.scripts.report.facts import run_facts


def test_the_page_holds_everything_and_nothing_of_a_run_can_end_a_script():
    html = to_html(run_page(run_facts(failed=True)), library="")
    assert "&lt;/script&gt; does not exist" in html
    assert len(re.findall(r"<script>", html)) == len(re.findall(r"</script>", html)) == 3
    assert not re.search(r"""(src|href)=["'](?!#)""", html)
    data = json.loads(re.search(r"const DATA = (\{.*\}); const CONFIGS", html)[1])
    assert set(data["timeline"]) == {"columns", "rows", "shown", "spec"}


def test_colours_of_both_themes_are_readable():
    light, dark = config(), config(dark=True)
    assert light["background"] == light["background"].lower() == "#ffffff"
    assert dark["axis"]["labelColor"] == light["background"].replace("ffffff", "e6e6e6")
    assert dark["range"] != light["range"]
    assert light["axis"]["labelSeparation"] > 0  # pixels: 150 and 160 at the end of an axis would read as one number


def test_the_script_that_draws_is_made_once(tmp_path: Path):
    made = drawing_library(tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    assert kept.read_text() == made
    assert "vegaEmbed" in made
    assert "</script" not in made
    kept.write_text("kept")
    assert drawing_library(tmp_path / "cache") == "kept"


def test_a_cache_that_cannot_be_written_costs_no_report(tmp_path: Path):
    (tmp_path / "file").touch()
    assert drawing_library(tmp_path / "file" / "cache", lambda: "a script") == "a script"
