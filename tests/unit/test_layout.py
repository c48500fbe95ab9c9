"""The rules that keep the parts apart, and an invocation's start short."""

import ast
import re
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("rendezvous_server", "lambda_image", "statemachine", "scripts")
OPERATIONS, CONNECTING, CHANNEL = (f"lambda_image/comm/{wing}/" for wing in ("operations", "connecting", "channel"))


def imports(source: str, *, hints: bool = True) -> set[str]:
    """Every module that `source` imports, wherever in it; without `hints` not what only type checkers import."""
    found: set[str] = set()
    for node in statements(ast.parse(source), hints=hints):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def statements(tree: ast.AST, *, hints: bool = True) -> Iterator[ast.AST]:
    """Every statement inside, without looking into expressions, which are most of a tree."""
    parts = ("body", "orelse", "finalbody", "handlers", "cases")
    if not hints and isinstance(tree, ast.If) and ast.unparse(tree.test) == "TYPE_CHECKING":
        parts = ("orelse",)
    for part in parts:
        for node in getattr(tree, part, ()):
            yield node
            yield from statements(node, hints=hints)


SOURCES = {
    file.relative_to(ROOT).as_posix(): imports(file.read_text())
    for package in PACKAGES
    for file in sorted((ROOT / package).rglob("*.py"))
}


def importers(*modules: str) -> set[str]:
    return {
        file
        for file, names in SOURCES.items()
        if any(name == module or name.startswith(f"{module}.") for name in names for module in modules)
    }


def within(files: set[str], *places: str) -> bool:
    return all(file.startswith(places) for file in files)


def modules_of(names: set[str]) -> set[str]:
    """The project's files among imported names, each of which is a module or a name in one."""
    found = set()
    for name in names:
        for module in (name, name.rpartition(".")[0]):
            path = module.replace(".", "/")
            known = {f"{path}.py", f"{path}/__init__.py"} & SOURCES.keys()
            if known:
                found |= known
                break
    return found


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Files that import one another in a circle; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})
    assert not circle({"a": {"b", "c"}, "b": {"c"}})


def test_no_imports_form_a_circle_late_ones_and_those_for_type_hints_included():
    assert circle({file: modules_of(names) - {file} for file, names in SOURCES.items()}) == []


def lines_of_code(text: str) -> int:
    """Lines that hold code: neither empty ones, nor those of comments and docstrings alone."""
    documents = {
        line
        for node in statements(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines = (line.strip() for number, line in enumerate(text.splitlines(), 1) if number not in documents)
    return sum(bool(line) and not line.startswith("#") for line in lines)


def test_lines_of_code_are_counted():
    assert lines_of_code('"""Two\nlines."""\n\n# why\nx = (\n    1,\n)\n') == 3


def test_no_file_is_long():
    lines = {file: lines_of_code((ROOT / file).read_text()) for file in SOURCES}
    assert {file: count for file, count in lines.items() if count > 500} == {}
    for package in PACKAGES:
        assert statistics.median(count for file, count in lines.items() if file.startswith(f"{package}/")) <= 110


def test_no_class_name_exists_twice():
    """A name has one meaning, wherever it is read."""
    names = Counter(
        name for file in SOURCES for name in re.findall(r"^class (\w+)", (ROOT / file).read_text(), re.MULTILINE)
    )
    assert [name for name, count in names.items() if count > 1 and not name.startswith("_")] == []


# Files without a unit test of their own name, and the test in tests/ that runs each. They are about processes,
# compilers or an AWS account, and what they decide shows only there.
TESTED_AS_A_WHOLE = {
    "scripts/bench/commit/rank_start.py": "integration/test_bench_commit.py",
    "scripts/bench/errors.py": "integration/test_bench_processes.py",
    "scripts/bench/inference/export.py": "integration/test_bench_inference.py",
    "scripts/bench/inference/flops.py": "integration/test_bench_inference.py",
    "scripts/bench/inference/processes.py": "integration/test_bench_inference.py",
    "scripts/bench/inference/worker.py": "integration/test_bench_inference.py",
    "scripts/bench/input/command.py": "integration/test_bench_input.py",
    "scripts/bench/input/originals.py": "integration/test_bench_input.py",
    "scripts/bench/input/readers.py": "integration/test_bench_input.py",
    "scripts/bench/input/worker.py": "integration/test_bench_input.py",
    "scripts/bench/processes.py": "integration/test_bench_processes.py",
    "scripts/bench/rendezvous/floor.py": "integration/test_bench.py",
    "scripts/bench/scale/crowd_process.py": "integration/test_bench_scale.py",
    "scripts/bench/scale/function_process.py": "integration/test_bench_scale.py",
    "scripts/bench/scale/rank_process.py": "integration/test_bench_scale.py",
}


def test_every_file_has_a_unit_test_of_its_name_or_a_reason():
    tests = {file.relative_to(ROOT / "tests/unit").as_posix() for file in (ROOT / "tests/unit").rglob("test_*.py")}
    places = [Path(file) for file in SOURCES if not file.endswith(("__init__.py", "__main__.py"))]
    alone = {str(place) for place in places if str(place.with_name(f"test_{place.name}")) not in tests}
    assert alone == TESTED_AS_A_WHOLE.keys()
    assert all((ROOT / "tests" / name).is_file() for name in TESTED_AS_A_WHOLE.values())


def test_asyncio_stays_in_the_background_thread_and_the_servers():
    allowed = ("lambda_image/comm/connecting/", "rendezvous_server/", "statemachine/local/", "scripts/bench/")
    assert within(importers("asyncio"), *allowed)


def test_a_channel_never_waits_and_has_no_thread():
    assert not {file for file in importers("select", "threading", "asyncio") if file.startswith(CHANNEL)}


def test_the_two_threads_of_a_communicator_share_the_roster_and_the_channels_only():
    """operations/ runs in the caller's thread, connecting/ in the background; communicator.py puts them together."""
    assert not {file for file in importers("lambda_image.comm.connecting") if file.startswith((OPERATIONS, CHANNEL))}
    assert not {file for file in importers("lambda_image.comm.operations") if file.startswith((CONNECTING, CHANNEL))}
    roster = {name for name in SOURCES["lambda_image/comm/roster.py"] if name.startswith("lambda_image.comm")}
    assert all(name.startswith("lambda_image.comm.channel.") for name in roster)
    assert not {file for file in importers("lambda_image.comm.roster") if file.startswith(CHANNEL)}
    assert within(importers("lambda_image.comm.communicator"), "lambda_image/", "scripts/bench/")
    wings = {file for file in importers("lambda_image.comm.communicator") if file.startswith("lambda_image/comm/")}
    assert wings <= {"lambda_image/comm/__init__.py"}


def test_torch_stays_with_the_model():
    assert within(importers("torch"), "lambda_image/model/", "scripts/")


def test_formats_of_catalogues_stay_out_of_the_images():
    assert within(importers("astropy", "h5py", "pyarrow", "pandas", "polars", "matplotlib"), "scripts/")


def test_each_format_of_the_field_is_known_to_its_reader_only():
    importing = {file for file in SOURCES if file.startswith("scripts/importing/")}
    for module, readers in (("astropy", {"fits"}), ("h5py", {"hdf5"}), ("pyarrow", {"parquet", "csv"})):
        assert importers(module) & importing == {f"scripts/importing/{reader}_files.py" for reader in readers}


def test_aws_stays_with_storage():
    assert within(importers("boto3", "botocore"), "lambda_image/storage/", "scripts/", "statemachine/local/")


def test_sockets_stay_with_the_communicator_and_the_server():
    assert within(
        importers("socket"), "lambda_image/comm/", "rendezvous_server/", "statemachine/local/", "scripts/bench/"
    )


def test_the_image_takes_the_protocol_of_the_server_only():
    names = {name for file, names in SOURCES.items() if file.startswith("lambda_image/") for name in names}
    theirs = {name for name in names if name.startswith("rendezvous_server")}
    assert all(name.startswith("rendezvous_server.protocol.") for name in theirs)


def test_the_server_and_the_image_know_nothing_of_the_rest():
    for place, strangers in (
        ("rendezvous_server/", ("lambda_image", "statemachine", "scripts")),
        ("lambda_image/", ("statemachine", "scripts")),
        ("statemachine/", ("scripts", "rendezvous_server")),
    ):
        assert not {file for file in importers(*strangers) if file.startswith(place)}


def test_the_local_endpoint_shares_with_the_image_what_has_nothing_to_do_with_runs():
    """CPUs are counted, and JSON is read, in one way. All else of the image the endpoint knows by handlers' names."""
    names = {name for file, names in SOURCES.items() if file.startswith("statemachine/") for name in names}
    assert {name for name in names if name.startswith("lambda_image")} == {
        "lambda_image.process.usable_cpus",
        "lambda_image.json_text.parse_json",
    }
    foreign = {name.partition(".")[0] for name in SOURCES["lambda_image/process.py"]} - sys.stdlib_module_names
    assert not foreign


def test_what_others_use_beside_benchmarks_lies_outside_of_them():
    assert within(importers("scripts.bench"), "scripts/bench/")


# What Python's parser may read itself: it comes from this package, or from a process that this one has started.
OWN_JSON = ("scripts/bench/", "scripts/maintenance/audit.py", "scripts/confined.py", "scripts/maintenance/sbom.py")
OWN_JSON_IN = {
    "lambda_image/cost.py": 1,
    "scripts/galaxies.py": 1,
    "scripts/local_cloud.py": 1,
}


def test_json_from_outside_is_read_in_one_way():
    """By `parse_json`. Python's own raises RecursionError over brackets alone, which no reader of files expects."""
    called = {file: (ROOT / file).read_text().count("json.loads(") for file in SOURCES}
    others = {file: count for file, count in called.items() if count and not file.startswith(OWN_JSON)}
    assert others == {"lambda_image/json_text.py": 1, **OWN_JSON_IN}


def test_the_protocol_needs_the_standard_library_only():
    for file, names in SOURCES.items():
        if file.startswith("rendezvous_server/protocol/"):
            foreign = {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names}
            assert all(name.startswith("rendezvous_server.protocol.") for name in foreign), file
