"""One rule for the files that a command line names, over all commands and all their flags."""

import argparse
import importlib
import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lambda_image.atomic_file import atomic_file
from lambda_image.data.partition import write_partition
from lambda_image.errors import UsageError
from scripts.bench import BENCHMARKS
from scripts.cli import COMMANDS, MODULES, main
from scripts.user_files import check_new, check_new_folder, check_there, make_way

# Every command that reads files, with one that is not there in the place of each. {there} is a file that is there.
READ = {
    "bench inference --model": "bench inference --model {missing}",
    "bench inference --partition": "bench inference --partition {missing}",
    "calibrate --data": "calibrate --data {there} {missing} --out out.json",
    "calibrate --model": "calibrate --data {there} --model {missing}",
    "clean data": "clean {missing} --out out.pt",
    "compare files": "compare {there} {missing}",
    "compile --model": "compile --model {missing}",
    "cost run_named": "cost {missing}",
    "cost --log": "cost --log {missing}",
    "cost --prices": "cost --requests 1 --seconds 1 --memory-gb 1 --prices {missing}",
    "convert checkpoint": "convert {missing} out.safetensors",
    "demo --data": "demo --data {missing}",
    "demo --model": "demo --model {missing}",
    "evaluate data": "evaluate {missing}",
    "evaluate --model": "evaluate {there} --model {missing}",
    "import sources": "import {there} {missing} --out out",
    "import --images": "import galaxies.safetensors --images {missing} --out out",
    "infer data": "infer {missing}",
    "infer --model": "infer {there} --model {missing}",
    "invoke --data": "invoke --endpoint-url http://127.0.0.1:9 --data {missing}",
    "invoke given": "invoke --endpoint-url http://127.0.0.1:9 {missing}",
    "invoke --input": "invoke --endpoint-url http://127.0.0.1:9 --input {missing}",
    "join data": "join {there} {missing} --out out.pt",
    "logs --file": "logs --file {missing}",
    "logs --history": "logs --file {there} --history {missing}",
    "plan run_named": "plan {missing}",
    "plan --prices": "plan run --prices {missing}",
    "report results": "report {missing}",
    "report --baseline": "report run --baseline {missing}",
    "results results": "results {missing}",
    "results --catalogue": "results {there} --out out.csv --catalogue {missing}",
    "sample --catalogue": "sample out.pt --catalogue {missing}",
    "split dataset": "split {missing} --out out",
    "tune --model": "tune --model {missing}",
    "upload data": "upload --endpoint-url http://127.0.0.1:9 {missing}",
}
# Every command that writes a file or a folder, with one that is there already.
WRITTEN = {
    **{f"bench {name} --json": f"bench {name} --json there.json" for name in BENCHMARKS},
    **{f"bench {name} --picture": f"bench {name} --picture there.svg" for name in BENCHMARKS if name != "input"},
    "calibrate --out": "calibrate --data galaxies.safetensors --out there.json",
    "calibrate --json": "calibrate --data galaxies.safetensors --out out.json --json there.json",
    "clean --out": "clean galaxies.safetensors --out there.safetensors",
    "clean --dropped": "clean galaxies.safetensors --out out.safetensors --dropped there.csv",
    "clean --json": "clean galaxies.safetensors --out out.safetensors --json there.json",
    "compare --csv": "compare run --csv there.csv",
    "compare --json": "compare run --json there.json",
    "cost --json": "cost --requests 1 --seconds 1 --memory-gb 1 --json there.json",
    "compile --json": "compile --model {model} --json there.json",
    "convert out": "convert {model} there.safetensors",
    "demo --out": "demo --out run",
    "demo --json": "demo --out out --json there.json",
    "doctor --json": "doctor --endpoint-url http://127.0.0.1:9 --json there.json",
    "evaluate --json": "evaluate galaxies.safetensors --json there.json",
    "evaluate --csv": "evaluate galaxies.safetensors --csv there.csv",
    "import --out": "import {there} --out partitions",
    "infer --out": "infer {there} --out there.parquet",
    "infer --json": "infer {there} --json there.json",
    "infer --plot": "infer {there} --plot there.svg",
    "invoke --out": "invoke --endpoint-url http://127.0.0.1:9 --out run",
    "invoke --json": "invoke --endpoint-url http://127.0.0.1:9 --out out --json there.json",
    "join --out": "join galaxies.safetensors --out there.safetensors",
    "logs --csv": "logs --file {there} --csv there.csv",
    "logs --json": "logs --file {there} --json there.json",
    "plan --json": "plan run --json there.json",
    "plan --picture": "plan run --picture there.svg",
    "results --out": "results run --out there.csv",
    "results --qp": "results run --qp there.hdf5",
    "results --json": "results run --json there.json",
    "sample out": "sample {there}",
    "split --out": "split {there} --out partitions",
    "sweep --json": "sweep --json there.json",
    "tune --json": "tune --json there.json",
    "watch --out": "watch some-run --endpoint-url http://127.0.0.1:9 --out run",
    "upload --json": "upload galaxies.safetensors --endpoint-url http://127.0.0.1:9 --json there.json",
    "watch --json": "watch some-run --endpoint-url http://127.0.0.1:9 --json there.json",
}
FILES = {place for place, line in WRITTEN.items() if "there" in line.split()[-1]}  # those that are files of one format
GIVEN = {"bench commit": "HEAD"}  # what a command needs besides
# What a command takes as the name of something else, too, so that it is no path to the parser.
NAMES = {"import --images", "results results", "report results", "cost run_named", "plan run_named"}
ENDINGS = ("pt", "hdf5", "json", "csv", "svg", "parquet", "safetensors")
# What is named by a path, and neither read nor replaced: `--keep` adds files to a folder of one's own, a sweep goes on
# with its folder, a report is drawn anew where it was, and pictures join what is in their folder.
OTHERS = {"bench input --keep", "evaluate --pictures", "sweep --out", "report --out"}


def parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for name in [name for name in COMMANDS if name != "bench"] + [f"bench.{name}" for name in BENCHMARKS]:
        parser = argparse.ArgumentParser()
        importlib.import_module(f"scripts.{MODULES.get(name, name)}").add_arguments(parser)
        yield name.replace(".", " "), parser


def test_every_path_of_every_command_is_read_or_written_by_the_rule():
    """A new one belongs into one of the tables above."""
    paths = {
        f"{command} {action.option_strings[0] if action.option_strings else action.dest}"
        for command, parser in parsers()
        for action in parser._actions
        if action.type is Path
    }
    assert paths <= READ.keys() | WRITTEN.keys() | OTHERS
    assert READ.keys() | WRITTEN.keys() <= paths | NAMES


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run" / "predictions").mkdir(parents=True)
    (tmp_path / "run" / "manifest.json").write_text(json.dumps([{"run_id": "demo-1", "rank": 0}]))
    (tmp_path / "partitions").mkdir()
    for name in (*(f"there.{ending}" for ending in ENDINGS), "partitions/1.pt"):
        (tmp_path / name).write_text("years of work")
    write_partition(tmp_path / "galaxies.safetensors", np.ones((2, 5, 32, 32)), np.full((2, 5), 17.0))
    return tmp_path


def content(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize("place", READ)
def test_what_is_not_there_is_told_in_one_wording(place: str, folder: Path, capsys: pytest.CaptureFixture[str]):
    before = content(folder)
    there = "there.parquet" if place.startswith("results") else "there.pt"
    assert main(READ[place].format(missing="no/such.pt", there=there).split()) == 2
    told = capsys.readouterr()
    flag = f"{place.split()[-1]} " if "--" in place else ""
    assert re.fullmatch(rf"cosmicai: {flag}no/such\.pt does not exist: name .+\n", told.err)
    assert (told.out, content(folder)) == ("", before)


@pytest.mark.parametrize("place", WRITTEN)
def test_what_is_there_is_not_replaced_unasked(place: str, folder: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("matplotlib")
    before = content(folder)
    line = WRITTEN[place].format(there="there.pt", model="there.pt").split()
    more = next((word for command, word in GIVEN.items() if place.startswith(command)), None)
    assert main([*line, *([more] if more else [])]) == 2
    told = capsys.readouterr()
    assert re.fullmatch(r"cosmicai: .*(there\.\w+|run|partitions) (exists|holds).*, or give --overwrite\n", told.err)
    assert (told.out, content(folder)) == ("", before)


@pytest.mark.parametrize("place", sorted(FILES))
def test_a_file_with_the_ending_of_another_format_is_refused_before_any_work(
    place: str, folder: Path, capsys: pytest.CaptureFixture[str]
):
    before = content(folder)
    *line, _ = WRITTEN[place].format(there="there.pt", model="there.pt").split()
    more = next((word for command, word in GIVEN.items() if place.startswith(command)), None)
    assert main([*line, "new.jpg", *([more] if more else [])]) == 2
    told = capsys.readouterr()
    assert re.fullmatch(r"cosmicai: .*new\.jpg.* must end in \.\w.*\n", told.err)
    assert (told.out, content(folder)) == ("", before)


def test_every_command_that_writes_has_the_flag():
    writing = {place.rpartition(" ")[0] for place in WRITTEN}
    assert {command for command, parser in parsers() if "--overwrite" in parser._option_string_actions} == writing


def test_new_files_pass_and_what_is_asked_for_is_replaced(folder: Path):
    check_new({"--out": folder / "new", "--json": None}, overwrite=False)
    check_new({"--out": folder / "there.json"}, overwrite=True)
    check_new({"--out": Path("/dev/null"), "--json": Path("/dev/null")}, overwrite=False)
    check_new({"--csv": folder / "table.CSV", "--json": folder / "figures"}, overwrite=False)
    check_there("--data", None, "a dataset")
    check_there("--data", folder, "a dataset", folders=True)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"--out": "partitions"}, "--out partitions is a folder: name a file"),
        ({"": "no/such/file"}, "no/such/file would be in a folder that does not exist"),
        ({"--out": "there.pt"}, "--out there.pt is read by this command"),
        ({"--out": "./run/../there.pt"}, "is read by this command"),
        ({"--out": "new", "--json": "run/../new"}, "--json run/../new is named by --out, too"),
        ({"--out": "there.json", "--json": "there.json"}, "--json there.json is named by --out, too"),
    ],
)
def test_what_would_lose_something_is_refused_even_then(folder: Path, written: dict[str, str], words: str):
    paths = {flag: Path(name) for flag, name in written.items()}
    with pytest.raises(UsageError) as caught:
        check_new(paths, overwrite=True, read=[folder / "there.pt", None])
    assert words in str(caught.value)


def test_partitions_make_way_and_nothing_else_does(folder: Path):
    out = folder / "partitions"
    check_new_folder("--out", folder / "new", overwrite=False)
    check_new_folder("--out", out, overwrite=True)
    make_way(folder / "new")
    make_way(out)
    assert list(out.iterdir()) == []
    (out / "2.safetensors").symlink_to(folder / "there.safetensors")
    with pytest.raises(UsageError, match=r"something other than partitions \(2\.safetensors\)"):
        check_new_folder("--out", out, overwrite=True)
    with pytest.raises(UsageError, match=r"there\.pt is a file"):
        check_new_folder("--out", folder / "there.pt", overwrite=True)


def test_partitions_that_are_read_do_not_make_way(folder: Path):
    for source in (folder / "partitions", folder / "partitions" / "1.pt"):
        with pytest.raises(UsageError, match="holds what is read"):
            check_new_folder("--out", folder / "partitions", overwrite=True, read=[source])


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    read = list[str]()
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()
    with atomic_file(tmp_path / "pipe") as partial:
        partial.write_text("figures")
    reader.join()
    assert (read, (tmp_path / "pipe").is_fifo()) == (["figures"], True)
