import json
import re

from scripts.report.page import config, to_html
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
