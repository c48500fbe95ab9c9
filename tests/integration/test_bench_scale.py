"""`cosmicai bench scale`: the real Init against the server that the benchmark starts."""

import json
from pathlib import Path

from lambda_image.shares import ITEM_LIMIT
from scripts.cli import main


def test_init_deals_all_objects_and_its_items_have_one_size(tmp_path: Path):
    file = tmp_path / "scale.json"
    flags = [
        "--only",
        "init",
        "--objects",
        "10,30000",
        "--ranks",
        "10",
        "--answer-ms",
        "1",
        "--quick",
        "--json",
        str(file),
    ]
    assert main(["bench", "scale", "--only", "init", *flags]) == 0
    report = json.loads(file.read_text())
    assert report["failures"] == []
    small, large = (one["rounds"][0] for one in report["init"])
    assert large["item_bytes"] - small["item_bytes"] < 20  # digits of counts
    assert large["item_bytes"] <= ITEM_LIMIT
    assert 30 <= large["lists"] < 200
    assert small["lists"] == 1
    assert large["puts"] == small["puts"] == 2  # the shares and the manifest
    assert large["peak_mb"] - small["peak_mb"] < 60


def test_summarize_reads_every_record_and_its_memory_hardly_grows_with_the_galaxies(tmp_path: Path):
    file = tmp_path / "scale.json"
    few = ["--only", "summarize", "--ranks", "8,64", "--galaxies", "2000", "--quick", "--json", str(file)]
    assert main(["bench", "scale", *few]) == 0
    report = json.loads(file.read_text())
    assert report["failures"] == []
    small, large = (one["rounds"][0] for one in report["summarize"])
    assert (small["gets"], large["gets"]) == (
        8 * 2 + 4,
        64 * 2 + 4,
    )  # and manifest, shares, rank 0's share and record
    assert large["peak_mb"] - small["peak_mb"] < 40


def test_a_rank_takes_no_more_memory_for_more_galaxies_than_it_holds(tmp_path: Path):
    file = tmp_path / "scale.json"
    assert main(["bench", "scale", "--only", "rank", "--loads", "1000000,2500000", "--quick", "--json", str(file)]) == 0
    report = json.loads(file.read_text())
    assert report["failures"] == []
    small, large = (one["rounds"][0] for one in report["rank"])
    assert large["read_mb"] > small["read_mb"] > 0  # of both a part left memory
    assert large["peak_mb"] - small["peak_mb"] < 120  # 1,500,000 galaxies took 720 MB when all stayed


def test_a_partition_of_500_000_galaxies_fits_a_small_function(tmp_path: Path):
    file = tmp_path / "scale.json"
    one = ["--only", "rank", "--loads", "500000", "--rows", "500000", "--quick", "--json", str(file)]
    assert main(["bench", "scale", *one]) == 0
    report = json.loads(file.read_text())
    assert report["failures"] == []
    assert report["rank"][0]["rounds"][0]["peak_mb"] < 250  # beside weights and images


def test_a_whole_run_by_star_and_by_tree(tmp_path: Path):
    file = tmp_path / "scale.json"
    few = ["--only", "run", "--ranks", "6,260", "--galaxies", "200", "--answer-ms", "1", "--json", str(file)]
    assert main(["bench", "scale", *few]) == 0
    report = json.loads(file.read_text())
    assert report["failures"] == []
    star, tree = (one["rounds"][0] for one in report["run"])
    assert (star["width"], tree["width"]) == (0, 17)
    assert (star["crowd_ranks"], tree["crowd_ranks"]) == (4, 257)
    assert "inner_beyond_s" not in star
    for figures in (star, tree):
        assert 0 < figures["crowd_descriptors"] <= 1024
        assert 0 < figures["leaf_beyond_s"] < figures["run_beyond_s"]
        assert figures["root_requests"] >= 5  # its share, the claim, its table, its record, what it gathered
    assert tree["leaf_requests"] == star["leaf_requests"]
    assert tree["root_descriptors"] < 260


def test_rank_0_is_billed_for_little_more_than_others_where_no_table_travels(tmp_path: Path):
    rounds = []
    for limit in ("0", "1000000000"):
        file = tmp_path / f"{limit}.json"
        few = ["--only", "run", "--ranks", "40", "--galaxies", "10000", "--answer-ms", "1", "--gather-limit", limit]
        assert main(["bench", "scale", *few, "--json", str(file)]) == 0
        rounds.append(json.loads(file.read_text())["run"][0]["rounds"][0])
    without, together = rounds
    assert without["root_mb"] < 1 < 10 < together["root_mb"]  # which is all tables
    assert without["root_requests"] < together["root_requests"]
    assert without["root_peak_mb"] < together["root_peak_mb"]
