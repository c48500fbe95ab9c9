"""What the builds copy is named file by file, so that most changes of code do not compile the engine anew."""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import lambda_image
from lambda_image.model.calibration import RedshiftCalibration
from lambda_image.model.engine_files import file_hash
from rendezvous_server import protocol
from tests.unit.lambda_image.model.calibrations import calibration
from tests.unit.test_layout import ROOT, SOURCES, imports, modules_of

OURS, LOCAL = "lambda_image/Dockerfile", "statemachine/local/Dockerfile"


def stage(name: str, dockerfile: str = OURS) -> str:
    text = (ROOT / dockerfile).read_text()
    found = re.search(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found
    return found[1].replace("\\\n", " ")


def copied(name: str, dockerfile: str = OURS) -> set[str]:
    """The files that a stage copies from the checkout."""
    sources = [
        source
        for line in stage(name, dockerfile).splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
        if "$" not in source
    ]
    return {path.relative_to(ROOT).as_posix() for source in sources for path in ROOT.glob(source) if path.is_file()}


def run_time_imports(source: str) -> set[str]:
    """What `source` imports when it runs, also late; a name of a package's front door stands in the module behind."""
    behind = {f"lambda_image.{name}": f"lambda_image.{module}" for name, module in lambda_image._MODULES.items()}
    for module, names in protocol._HOMES.items():
        behind |= {f"{protocol.__name__}.{name}": f"{protocol.__name__}.{module}" for name in names}
    return {behind.get(name, name) for name in imports(source, hints=False)}


def test_imports_for_type_hints_do_not_count_and_the_front_doors_names_do():
    source = """
if TYPE_CHECKING:
    from lambda_image.data import partition
else:
    import json
def late():
    from lambda_image import accuracy, process
"""
    assert run_time_imports(source) == {"json", "lambda_image.metrics", "lambda_image.process"}


@cache
def imports_of(file: str) -> set[str]:
    return run_time_imports((ROOT / file).read_text())


def needed(*starts: str) -> set[str]:
    """Those files and all of the project's that they import when they run, also late."""
    found: set[str] = set()
    waiting = list(starts)
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        for name in imports_of(file):
            parts = name.split(".")
            for length in range(1, len(parts) + 1):
                for path in ("/".join(parts[:length]) + ".py", "/".join(parts[:length]) + "/__init__.py"):
                    waiting += [path] if path in SOURCES else []
    return found


def test_all_that_converting_and_compiling_import_is_copied():
    starts = ("scripts/__main__.py", "scripts/cli.py", "scripts/convert.py", "scripts/compile.py")
    missing = needed(*starts) - copied("sources")
    assert not missing, f"add to the COPY lines of the stage `sources` in lambda_image/Dockerfile: {sorted(missing)}"


def test_all_that_a_copied_file_or_a_line_of_a_build_imports_is_copied():
    """Whatever the commands are that a stage runs: a module that is copied can be imported, late imports included."""
    for names, source in ((("weights", "engine", "network"), "sources"), (("code",), "code")):
        lines = {line for name in names for line in re.findall(r"(?:from [\w.]+ )?import [\w., ]+", stage(name))}
        starts = {file for line in lines for module in imports(line.strip(" ,")) for file in modules_of({module})}
        assert starts, "a stage imports something of the project"
        there = copied(source) | files_below("lambda_image" if source == "code" else "lambda_image/model")
        missing = needed(*starts, *(file for file in copied(source) if file.endswith(".py"))) - there
        assert not missing, (
            f"add to the COPY lines of the stage `{source}` in lambda_image/Dockerfile: {sorted(missing)}"
        )


def files_below(folder: str) -> set[str]:
    """Those of a folder that a stage copies as a whole."""
    return {file for file in SOURCES if file.startswith(f"{folder}/")}


def test_nothing_else_is_whose_change_would_compile_the_engine_anew():
    wanted = needed("scripts/__main__.py", "scripts/convert.py", "scripts/compile.py", "lambda_image/model/engine.py")
    python = {file for file in copied("sources") if file.endswith(".py")}
    unneeded = {file for file in python - wanted if not file.startswith("lambda_image/model/")}
    assert not unneeded, f"leave out of the stage `sources` in lambda_image/Dockerfile: {sorted(unneeded)}"


@pytest.mark.parametrize(
    ("dockerfile", "folders"), [(OURS, ("lambda_image/",)), (LOCAL, ("lambda_image/", "statemachine/"))]
)
def test_an_image_has_what_its_code_needs_of_the_servers_protocol(dockerfile: str, folders: tuple[str, ...]):
    wanted = needed(*(file for file in SOURCES if file.startswith(folders)))
    missing = {file for file in wanted if file.startswith("rendezvous_server/")} - copied("code", dockerfile)
    assert not missing, f"add to the COPY lines of the stage `code` in {dockerfile}: {sorted(missing)}"


def carried(folder: Path, name: str, given: str, **arguments: str) -> subprocess.CompletedProcess[str]:
    """What a stage does about the calibration of weights that it has made a model of, at `folder` instead of at /."""
    text = (ROOT / OURS).read_text()
    begin = text.index("if [", text.index(f" AS {name}\n"))
    step = text[begin : text.index("; fi", begin)] + "; fi"
    step = re.sub(r"(?<=[ \"])/(?=calibration/|model/)", f"{folder}/", step)
    environ = os.environ | {"given": f"{folder / given}", **arguments}
    step = f'python() {{ {sys.executable} "$@"; }}; {step}'
    return subprocess.run(["sh", "-c", step], cwd=ROOT, env=environ, capture_output=True, text=True)


SHIPPED = {"CHECKPOINT": "lambda_image/model/redshift.safetensors"}
BY_DEFAULT = {"CALIBRATION": "lambda_image/model/redshift.calibration.json"}
MINE = "models/mine.calibration.json"


@pytest.mark.parametrize(
    ("name", "made", "arguments", "there"),
    [
        ("weights", "redshift.safetensors", {"CHECKPOINT": "models/mine.pt", "CALIBRATION": MINE}, True),
        ("weights", "redshift.safetensors", SHIPPED | BY_DEFAULT, True),
        ("weights", "redshift.safetensors", {"CHECKPOINT": "models/mine.pt"} | BY_DEFAULT, False),
        ("network", "network.onnx", {"ONNX_CALIBRATION": MINE}, True),
        ("network", "network.onnx", {"ONNX_CALIBRATION": "lambda_image/Dockerfile"}, False),
    ],
)
def test_weights_are_put_into_an_image_with_a_calibration_of_theirs_or_none(
    tmp_path: Path, name: str, made: str, arguments: dict[str, str], there: bool
):
    (tmp_path / "model").mkdir()
    (tmp_path / "calibration").mkdir()
    (tmp_path / "mine.pt").write_bytes(b"as the user has them")
    (tmp_path / "model" / made).write_bytes(b"as they were converted")
    source = arguments.get("CALIBRATION") or arguments["ONNX_CALIBRATION"]
    calibration(weights=file_hash(tmp_path / "mine.pt")).write(tmp_path / "calibration" / Path(source).name)
    answer = carried(tmp_path, name, "mine.pt", **arguments)
    assert (answer.returncode, answer.stderr) == (0, "")
    beside = (tmp_path / "model" / made).with_suffix(".calibration.json")
    assert beside.exists() == there
    if there:
        assert RedshiftCalibration.read(beside).weights_sha256 == file_hash(tmp_path / "model" / made)


def test_a_calibration_of_other_weights_ends_the_build(tmp_path: Path):
    for name in ("model", "calibration"):
        (tmp_path / name).mkdir()
    for name in ("mine.pt", "model/redshift.safetensors"):
        (tmp_path / name).write_bytes(b"weights")
    calibration(weights="1" * 64).write(tmp_path / "calibration" / "mine.calibration.json")
    answer = carried(tmp_path, "weights", "mine.pt", CHECKPOINT="models/mine.pt", CALIBRATION=MINE)
    assert (answer.returncode, answer.stderr) == (1, "mine.calibration.json is not for mine.pt\n")


def test_no_image_has_the_shipped_calibration_by_any_other_way():
    removed = stage("code").rpartition("rm -rf")[2].partition("&&")[0].split()
    assert BY_DEFAULT["CALIBRATION"] in removed
    assert "COPY --from=weights /calibrated/ lambda_image/model/" in stage("slim")
    assert "COPY --from=engine /model lambda_image/model" in stage("full")


def test_the_versions_of_pytorch_agree():
    wanted = re.search(r'"(torch==[^"]+)"', (ROOT / "pyproject.toml").read_text())
    locked = re.search(r"^torch==\S+", Path(ROOT / "requirements" / "torch.txt").read_text(), re.MULTILINE)
    assert wanted
    assert locked
    assert locked[0] == f"{wanted[1]}+cpu"
