import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lambda_image.errors import UsageError
from lambda_image.partition_names import printable
from scripts.runs.result_folder import result_folder

OBJECTS = {
    "manifest.json": json.dumps([{"run_id": "r", "rank": 0, "run_key": "secret"}]).encode(),
    "summary.json": b"{}",
    "combined_data.json": b"[]",
    "gather_ended.json": b"{}",
    "predictions.parquet": b"PAR1",
    "0.json": b"{}",
    "predictions/0.parquet": b"PAR1",
}


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def writing(objects: dict[str, bytes]) -> Callable[[Path], int]:
    def put(folder: Path) -> int:
        for name, content in objects.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return len(objects)

    return put


def put(out: Path, objects: dict[str, bytes] = OBJECTS) -> None:
    with result_folder(out, overwrite=True) as folder:
        folder.clear(lambda line: None)
        assert folder.fill(writing(objects)) == len(objects)


def test_results_appear_without_the_runs_key(tmp_path: Path):
    put(tmp_path / "new" / "out")
    assert names(tmp_path / "new" / "out") == set(OBJECTS)
    assert json.loads((tmp_path / "new" / "out" / "manifest.json").read_text()) == [{"run_id": "r", "rank": 0}]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]


def test_an_earlier_runs_results_are_replaced(tmp_path: Path):
    put(
        tmp_path / "out",
        OBJECTS | {"1.json": b"{}", "predictions/1.parquet": b"", "report.html": b"", "report/cost.svg": b""},
    )
    put(tmp_path / "out")
    assert names(tmp_path / "out") == set(OBJECTS)


def test_a_run_that_brings_nothing_leaves_nothing_of_an_earlier_one(tmp_path: Path):
    put(tmp_path / "out")
    said = list[str]()
    with result_folder(tmp_path / "out", overwrite=True) as folder:
        assert names(tmp_path / "out") == set(OBJECTS)  # until the run begins
        folder.clear(said.append)
    assert said == [f"the results of r in {tmp_path / 'out'}/ are replaced"]
    assert [path.name for path in tmp_path.rglob("*")] == ["out"]


def test_an_earlier_runs_results_are_replaced_only_where_that_is_allowed(tmp_path: Path):
    put(tmp_path / "out")
    told = r"--out .*out holds the results of r: name another folder, or give --overwrite"
    with pytest.raises(UsageError, match=told), result_folder(tmp_path / "out"):
        pass
    assert names(tmp_path) == {f"out/{name}" for name in OBJECTS}
    with result_folder(tmp_path / "new") as folder:
        folder.clear(lambda line: pytest.fail(line))


def test_an_earlier_runs_results_are_kept_under_its_id(tmp_path: Path):
    out, said = tmp_path / "out", list[str]()
    for number in range(3):  # all of one ID, as two places may have given it
        with result_folder(out, keep=True) as folder:
            folder.clear(said.append)
            folder.fill(writing(OBJECTS | {f"{number}.json": b"{}"}))
    assert said == [f"the results of r are in {tmp_path / name}/ now" for name in ("r", "r-2")]
    assert names(tmp_path / "r") == set(OBJECTS)
    assert names(tmp_path / "r-2") == {*OBJECTS, "1.json"}
    assert names(out) == {*OBJECTS, "2.json"}


@pytest.mark.parametrize("run", ["../r", "/r", "a run"])
def test_an_id_that_step_functions_does_not_give_names_no_folder(tmp_path: Path, run: str):
    put(tmp_path / "out", OBJECTS | {"manifest.json": json.dumps([{"run_id": run, "rank": 0}]).encode()})
    with result_folder(tmp_path / "out", keep=True) as folder:
        folder.clear(lambda line: None)
    assert [path.name for path in tmp_path.iterdir()] == ["out-earlier"]


def test_results_that_a_link_led_to_are_kept_beside_them(tmp_path: Path):
    put(tmp_path / "there" / "out")
    (tmp_path / "link").symlink_to("there/out")
    said = list[str]()
    with result_folder(tmp_path / "link", keep=True) as folder:
        folder.clear(said.append)
        folder.fill(writing(OBJECTS))
    assert names(tmp_path / "there" / "r") == names(tmp_path / "link") == set(OBJECTS)
    assert said == [f"the results of r are in {tmp_path / 'there' / 'r'}/ now"]


def test_where_there_are_no_results_there_is_no_folder(tmp_path: Path):
    put(tmp_path / "out", {})
    assert not list(tmp_path.iterdir())


def test_a_link_stays_and_leads_to_the_results(tmp_path: Path):
    put(tmp_path / "there")
    (tmp_path / "link").symlink_to("there")
    put(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "there") == set(OBJECTS)


@pytest.mark.parametrize(
    "strange",
    [
        {"manifest.json": b'{"name": "an app", "icons": []}'},
        {"manifest.json": b"[]"},
        {"manifest.json": b'["of", "another", "program"]'},
        {"manifest.json": b"not JSON"},
        {"summary.json": b"{}"},
        OBJECTS | {"thesis.tex": b"years of work"},
        OBJECTS | {"predictions/thesis.tex": b"years of work"},
        OBJECTS | {"0.json/thesis.tex": b"years of work"},
        {"predictions": b"years of work"},
    ],
)
def test_what_is_not_a_runs_is_left_alone(tmp_path: Path, strange: dict[str, bytes]):
    out = tmp_path / "out"
    strange = {name: content for name, content in strange.items() if f"{name}/thesis.tex" not in strange}
    for name, content in strange.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    with pytest.raises(UsageError, match="choose another folder"), result_folder(out):
        pass
    assert {name: (out / name).read_bytes() for name in names(out)} == strange
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_strange_name_is_told_in_one_line(tmp_path: Path):
    out = tmp_path / "a\nb"
    out.mkdir()
    (out / "\x1b[31m\udcff").touch()
    with pytest.raises(UsageError, match="choose another folder") as raised, result_folder(out):
        pass
    assert printable(raised.value) == str(raised.value)


def test_what_came_meanwhile_is_left_alone(tmp_path: Path):
    with result_folder(tmp_path / "out") as folder:
        folder.clear(lambda line: None)
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "thesis.tex").write_text("years of work")
        with pytest.raises(OSError, match="not empty"):
            folder.fill(writing(OBJECTS))
    assert names(tmp_path) == {"out/thesis.tex"}


def test_a_place_that_cannot_be_written_is_told_at_once(tmp_path: Path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "out", Path("/proc/out")):
        with pytest.raises(UsageError, match="--out"), result_folder(out):
            pass
