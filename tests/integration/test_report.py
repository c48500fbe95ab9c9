"""Reports in a real browser: drawn, readable, usable by keyboard and screen reader, and silent on the network."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from scripts.cli import main
from scripts.report.page import to_html
from scripts.report.run_page import run_page
from tests.unit.scripts.catalogue.runs import predictions, run_folder
from tests.unit.scripts.report.facts import records, run_facts

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
AXE = Path(__file__).parents[2] / ".venv/browser/node_modules/axe-core/axe.min.js"
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is here (Debian: apt-get install chromium)")
FIGURES_OF_A_RUN = 12


@dataclass
class Opened:
    """A page in a browser, with what it said and asked for."""

    page: Any
    requests: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def opened(browser: Any, file: Path, width: int = 1440, scheme: str = "light") -> Opened:
    page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
    this = Opened(page)
    page.on("request", lambda request: this.requests.append(request.url))
    page.on("console", lambda message: this.said.append(message.text))
    page.on("pageerror", lambda error: this.said.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_function("document.documentElement.dataset.ready")
    return this


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = run_folder(tmp_path_factory.mktemp("report") / "run", predictions(6))
    facts = run_facts(4, flagged=True, failed=True)
    (folder / "summary.json").write_text(json.dumps(facts.summary))
    (folder / "combined_data.json").write_text(json.dumps(facts.records))
    table = predictions(40)
    true = replace(table, redshift=facts.redshift, redshift_true=facts.redshift_true)
    (folder / "predictions.parquet").write_bytes(true.to_parquet())
    assert main(["report", str(folder)]) == 0
    return folder / "report.html"


@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_figure_is_drawn_without_a_word_or_a_request(browser: Any, report: Path, width: int, scheme: str):
    seen = opened(browser, report, width, scheme)
    assert seen.page.evaluate("document.documentElement.dataset.ready") == "yes"
    assert seen.said == []
    assert seen.requests == [report.as_uri()]
    drawn = seen.page.evaluate(
        "[...document.querySelectorAll('.chart')].map(place => place.querySelectorAll('svg path[fill], canvas').length)"
    )
    assert len(drawn) == FIGURES_OF_A_RUN
    assert all(drawn)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width  # nothing runs out of the page
    assert seen.page.evaluate("document.documentElement.dataset.theme") == scheme


def test_the_theme_can_be_changed(browser: Any, report: Path):
    seen = opened(browser, report)
    seen.page.get_by_role("button", name="Dark colours").click()
    seen.page.wait_for_function("[...document.querySelectorAll('.chart')].every(p => p.dataset.drawn === 'dark')")
    assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 22, 22)"


def test_tables_sort_and_filter_by_keyboard(browser: Any, report: Path):
    page = opened(browser, report).page
    table = page.get_by_role("region", name="Table of All ranks")
    heading = table.get_by_role("columnheader", name="rank", exact=True)
    heading.get_by_role("button").focus()

    def ranks() -> list[str]:
        return [str(text) for text in table.locator("tbody tr td:first-child").all_inner_texts()]

    page.keyboard.press("Enter")
    assert (ranks(), heading.get_attribute("aria-sort")) == (["0", "1", "2", "3"], "ascending")
    page.keyboard.press("Enter")
    assert (ranks(), heading.get_attribute("aria-sort")) == (["3", "2", "1", "0"], "descending")
    page.get_by_role("searchbox", name="Filter the rows of All ranks").fill("self")
    assert ranks() == ["0"]


def test_every_figure_has_a_table(browser: Any, report: Path):
    page = opened(browser, report).page
    for summary in page.locator("details > summary").all():
        summary.click()
    page.wait_for_function("[...document.querySelectorAll('details')].every(d => d.querySelector('tbody tr'))")
    assert page.locator("details table").count() == FIGURES_OF_A_RUN


def test_the_timeline_shows_one_phase_in_another_order(browser: Any, report: Path):
    page = opened(browser, report).page
    marks = page.locator("#chart-timeline .mark-rect path")
    before = marks.count()
    page.locator("#chart-timeline select").nth(0).select_option("infer")
    page.wait_for_function(f"document.querySelectorAll('#chart-timeline .mark-rect path').length < {before}")
    assert marks.count() == 4
    page.locator("#chart-timeline select").nth(1).select_option("longest first")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(browser: Any, report: Path, scheme: str):
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: make .venv/browser/ready")
    page = opened(browser, report, scheme=scheme).page
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run()")["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []


def test_ten_thousand_ranks_are_drawn(browser: Any, tmp_path: Path):
    facts = replace(run_facts(2, galaxies=10_000), records=records(10_000, apart_s=0.0))
    html = to_html(run_page(facts))
    assert len(html.encode()) < 10e6
    file = tmp_path / "report.html"
    file.write_text(html, encoding="utf-8")
    seen = opened(browser, file)
    assert seen.said == []
    assert seen.page.locator("#chart-timeline canvas").count() == 1
