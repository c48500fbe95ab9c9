"""The execution inputs of the documents' experiments, by what Init itself makes of them."""

import json
import re
from pathlib import Path

import pytest

from lambda_image.address import Address
from lambda_image.dealing import deal
from lambda_image.events import RunRequest, parse

ROOT = Path(__file__).resolve().parents[3]
INPUTS = sorted((ROOT / "statemachine" / "inputs").glob("*.json"))
DOCUMENT = (ROOT / "docs" / "documents.md").read_text()
SERVER = Address.parse("rendezvous:10000")


def request(name: str) -> RunRequest:
    content = json.loads((ROOT / "statemachine" / "inputs" / f"{name}.json").read_bytes())
    return parse(content, "arn:aws:states:us-east-1:123456789012:execution:redshift:try", SERVER)


@pytest.mark.parametrize("file", INPUTS, ids=lambda file: file.stem)
def test_init_understands_each_and_has_nothing_to_warn_of(file: Path):
    found = request(file.stem)
    assert found.warnings == ()
    assert found.fmi_enabled
    assert found.result_path != f"results/{found.run_id}"  # so that runs of one experiment are found by their paths
    for key, value in (("world", found.world_size), ("batch", found.batch_size)):
        if said := re.search(rf"{key}_(\d+)", file.stem):
            assert int(said[1]) == value
    if said := re.search(r"_(\d+)mb", file.stem):
        assert found.data_prefix == f"{said[1]}MB"


def test_no_two_write_to_one_place():
    paths = [request(file.stem).result_path for file in INPUTS]
    assert len(set(paths)) == len(paths)


def test_the_twenty_configurations():
    found = {
        (one.world_size, one.batch_size) for file in INPUTS if "step_1" in file.stem for one in [request(file.stem)]
    }
    assert found == {(world, batch) for world in (1, 2, 3, 4) for batch in (8, 16, 32, 64, 128)}


def test_the_seventeen_of_the_comparison_are_those_of_its_table():
    section = DOCUMENT.split("## Beside a local machine")[1].split("\n#")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:3] > "| 0"]
    stated = {(int(row[0]), int(row[1]), row[2]) for row in rows if row[0].isdecimal()}
    found = {
        (one.world_size, one.batch_size, (one.data_prefix or "").removeprefix("datasets/"))
        for file in INPUTS
        if "step_4" in file.stem
        for one in [request(file.stem)]
    }
    assert len(stated) == 17
    assert found == stated


def test_published_runs_over_all_data_have_as_many_ranks_as_their_costs_have_requests():
    for size, requests in ((25, 517), (50, 259), (75, 173), (100, 130)):
        one = request(f"published_{size}mb_total")
        assert one.file_limit == requests
        assert f"| {size} MB | {requests} |" in DOCUMENT
        listed = [f"{number}.pt" for number in range(600)][: one.file_limit]
        assert len(deal(listed, one.world_size or len(listed))) == requests


def test_published_runs_over_a_gigabyte_have_the_files_that_it_takes():
    for size, files in ((25, 41), (50, 21), (75, 14), (100, 11)):
        assert request(f"published_{size}mb_1gb").file_limit == files


def test_the_document_names_them_all():
    patterns = re.findall(r"`([a-z0-9_*]+)\.json`", DOCUMENT.split("## Execution inputs")[1])
    named = {file.stem for pattern in patterns for file in (ROOT / "statemachine" / "inputs").glob(f"{pattern}.json")}
    assert named == {file.stem for file in INPUTS}
