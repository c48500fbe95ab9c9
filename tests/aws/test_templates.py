"""The templates as AWS's linter and a linter of security see them."""

import json
from pathlib import Path

import pytest
from cfnlint import lint

from scripts.stack.template import images_template, stack_template
from tests.aws.tools import ROOT, answer, tool

CONFIG = ROOT / "statemachine" / "stack" / "checkov.yaml"
REGIONS = ["us-east-1", "eu-west-1", "eu-central-1", "ap-southeast-2"]


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The templates as they are sent, the definition in its place."""
    folder = tmp_path_factory.mktemp("templates")
    for name, text in (("stack.yaml", stack_template()), ("images.yaml", images_template())):
        (folder / name).write_text(text)
    return [folder / "stack.yaml", folder / "images.yaml"]


def cfn_lint(text: str) -> list[str]:
    """What AWS's linter has against a template."""
    return [f"{match.rule.id} {match.message}" for match in lint(text, regions=REGIONS)]


def checkov(*templates: Path) -> list[str]:
    """The checks that fail, as CHECK RESOURCE."""
    flags = ["--framework", "cloudformation", "--config-file", CONFIG, "--output", "json", "--quiet", "--compact"]
    said = answer(
        [tool("checkov", "checkov"), *flags, "--skip-download", *(word for t in templates for word in ("-f", t))]
    )
    report = json.loads(said.stdout)
    assert report["summary"]["passed"] > 0, said.stderr
    return [f"{check['check_id']} {check['resource']}" for check in report["results"]["failed_checks"]]


def test_cloudformations_linter_has_nothing_against_them():
    assert cfn_lint(stack_template()) == []
    assert cfn_lint(images_template()) == []


def test_the_linter_would_tell():
    wrong = stack_template().replace("Timeout: 900", "Timeout: 901").replace("MemorySize: 512", "Memory: 512")
    told = "\n".join(cfn_lint(wrong))
    assert "901" in told
    assert "'Memory' was unexpected" in told


def test_the_linter_of_security_has_nothing_against_them_but_what_the_file_gives_reasons_for(templates: list[Path]):
    assert checkov(*templates) == []


def test_every_exception_has_its_reason_above_it_and_is_needed(templates: list[Path]):
    lines = CONFIG.read_text().splitlines()
    skipped = [line.strip("- ") for line in lines if line.startswith("  - ")]
    assert all(lines[number - 1].startswith("  # ") for number, line in enumerate(lines) if line.startswith("  - "))
    flags = ["--framework", "cloudformation", "--output", "json", "--quiet", "--compact", "--skip-download"]
    said = answer([tool("checkov", "checkov"), *flags, *(word for t in templates for word in ("-f", t))])
    failed = {check["check_id"] for check in json.loads(said.stdout)["results"]["failed_checks"]}
    assert failed == set(skipped)
