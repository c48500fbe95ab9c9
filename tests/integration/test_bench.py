"""`cosmicai bench` as people run it. That figures are right in size is not tested: machines differ."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import pytest

from scripts.bench import rendezvous
from scripts.bench.errors import BenchmarkError
from scripts.bench.rendezvous.group import GroupLoad
from scripts.bench.rendezvous.pairing import PairingCase, PairingLoad, compiled_clients
from scripts.bench.rendezvous.plan import RendezvousPlan
from scripts.bench.rendezvous.relay import relay_round, relayed_ends
from scripts.bench.rendezvous.shapes import Shape, joins
from scripts.bench.servers import Server, our_server
from scripts.cli import main
from tests.integration.rendezvous import until
from tests.unit.scripts.flags import parsed

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def ours() -> Iterator[Server]:
    with our_server() as server:
        yield server


@pytest.fixture
def other() -> Iterator[Callable[..., Server]]:
    with ExitStack() as stack:

        def start(mode: str = "") -> Server:
            command = [sys.executable, str(ROOT / "tests/integration/pairing_server.py"), mode]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            stack.callback(process.kill)
            assert process.stdout is not None
            return Server("other", "127.0.0.1", int(process.stdout.readline()), process.pid)

        yield start


class Pairing(Protocol):
    def __call__(
        self, server: Server, case: PairingCase, pairings: int = 100, **limits: float
    ) -> tuple[dict[str, float], list[str]]: ...


@pytest.fixture(scope="module")
def pairing() -> Iterator[Pairing]:
    """Measures a round. Returns its figures and its faults."""
    with compiled_clients() as clients:

        def measure(
            server: Server, case: PairingCase, pairings: int = 100, **limits: float
        ) -> tuple[dict[str, float], list[str]]:
            load = PairingLoad(clients, server, case, pairings, "test", **limits)
            return load.run(), load.faults

        yield measure


@pytest.mark.parametrize(
    "case",
    [
        PairingCase(1),
        PairingCase(20),
        PairingCase(200),
        PairingCase(4, silent=30),
        PairingCase(4, slow=10),
        PairingCase(4, bytewise=10),
        PairingCase(4, silent=30, slow=10, bytewise=10),
    ],
    ids=str,
)
def test_all_pairings_of_a_round_are_measured(pairing: Pairing, ours: Server, case: PairingCase):
    figures, faults = pairing(ours, case)
    assert faults == []
    assert figures["pairings"] == 100
    assert 0 < figures["median_ms"] <= figures["p99_ms"] <= figures["max_ms"] <= 1e3 * figures["seconds"]
    assert figures["cpu_us_per_pairing"] >= 0
    assert ("slow_pairings_per_s" in figures, "bytewise_pairings_per_s" in figures) == (
        case.slow > 0,
        case.bytewise > 0,
    )


def test_the_servers_log_does_not_grow_with_the_benchmark(pairing: Pairing):
    with our_server() as server:
        for _ in range(2):
            pairing(server, PairingCase(4), 20)
            until(lambda: written(server).count(b'"event": "connection"') >= 2 * 20)
            assert written(server).startswith(b"{")  # and not with a hole where the former rounds were
            server.forget_log()
            assert written(server) == b""


def written(server: Server) -> bytes:
    assert server.log is not None
    return os.pread(server.log, 1 << 20, 0)


def test_another_server_can_be_measured(pairing: Pairing, other: Callable[..., Server]):
    figures, faults = pairing(other(), PairingCase(10, slow=4))
    assert (figures["pairings"], faults) == (100, [])


def test_wrong_introductions_are_found(pairing: Pairing, other: Callable[..., Server]):
    _, faults = pairing(other("swapped"), PairingCase(10))
    assert "was introduced to its partner as" in faults[0]
    assert faults[-1] == "and 97 more"


def test_a_server_that_serves_nobody_is_given_up(pairing: Pairing, other: Callable[..., Server]):
    figures, faults = pairing(other("mute"), PairingCase(10), stall_s=0.2)
    assert figures == {}
    assert faults == ["no pairing finished for 0.2 s, after 0 of 100"]


def test_a_round_ends_in_time(pairing: Pairing, ours: Server):
    figures, faults = pairing(ours, PairingCase(4, slow=4), 1_000_000, round_s=0.2)
    assert faults == []
    assert figures["pairings"] < 1_000_000


def test_a_server_that_is_not_there(pairing: Pairing):
    figures, faults = pairing(Server("nobody", "127.0.0.1", 1), PairingCase(4))
    assert figures == {}
    assert "Connection refused" in faults[0]


def test_silent_clients_come_again_when_they_are_dropped(pairing: Pairing, other: Callable[..., Server]):
    figures, faults = pairing(other("impatient"), PairingCase(2, silent=10), short_life_s=0.01)
    assert faults == []
    assert figures["silent_again"] >= 10


def test_a_server_that_drops_silent_clients_at_once_cannot_be_measured_beside_them(
    pairing: Pairing, other: Callable[..., Server]
):
    _, faults = pairing(other("impatient"), PairingCase(2, silent=10))
    assert faults[0] == "a silent client did not last 1 s: closed by the server"


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize("world_size", [2, 3, 130])
def test_a_group_is_measured(ours: Server, shape: Shape, world_size: int):
    wanted = joins(shape, world_size, f"run-{world_size}-{shape}")
    load = GroupLoad(ours, wanted)
    figures = load.run()
    assert load.fault == ""
    assert figures["joins"] == len(wanted) >= world_size
    assert figures["tables_read"] >= min(world_size, 64)
    roots = len({join.run_id for join in wanted})  # of stars, which may have been told of nobody
    assert figures["messages"] >= 4 * len(wanted) - roots  # challenge, joined, table, complete
    assert figures["bytes"] > 0
    assert figures["server_peak_mb"] >= figures["server_mb"] > 0


def test_a_group_that_is_refused(ours: Server):
    load = GroupLoad(Server("ours", ours.host, ours.port, ours.pid, b"another key"), joins(Shape.FULL, 4, "run"))
    assert load.run() == {}
    assert "key" in load.fault


# Relay


def test_a_relay_is_measured():
    with our_server() as server:
        figures = relay_round(server, 8 << 20)
    assert figures["share_of_raw"] == pytest.approx(figures["relay_mb_per_s"] / figures["raw_mb_per_s"])
    assert figures["server_peak_mb"] >= figures["server_idle_mb"] > 0


def test_a_relay_that_is_refused(ours: Server):
    stranger = Server("ours", ours.host, ours.port, ours.pid, b"another key")
    with pytest.raises(BenchmarkError, match="did not make a relay"), relayed_ends(stranger, "run"):
        pass


# The command


SMALL = RendezvousPlan(
    rounds=2, pairings=60, warm_up=10, in_flight=(2, 8), crowds=((4, 4, 0),), worlds=(4,), relay_bytes=1 << 20
)


def bench(*flags: object) -> int:
    return rendezvous.run(parsed(rendezvous, *flags), SMALL)


def test_the_command_measures_draws_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    figures, picture = tmp_path / "bench.json", tmp_path / "bench.svg"
    drawn = ("--picture", picture) if find_spec("matplotlib") else ()
    assert bench("--json", figures, *drawn) == 0
    report = json.loads(figures.read_text())
    assert report["machine"]["cores"] >= 1
    assert [(one["server"], one["in_flight"], one["silent"], len(one["rounds"])) for one in report["pairing"]] == [
        *[(server, in_flight, 0, 2) for in_flight in (2, 8) for server in ("ours", "bare uvloop")],
        *[("ours", in_flight, 4, 2) for in_flight in (2, 8)],
    ]
    assert {one["server"] for one in report["pairing_ratios"]} == {"ours / bare uvloop"}
    assert [(one["topology"], one["world_size"], len(one["rounds"])) for one in report["group"]] == [
        ("full", 4, 2),
        ("star", 4, 2),
        ("tree", 4, 2),
    ]
    assert [len(one["rounds"]) for one in report["relay"]] == [2]
    assert report["failures"] == []
    assert not drawn or b"<svg" in picture.read_bytes()
    out = capsys.readouterr().out
    assert "group bootstrap" in out


def test_against_another_server(other: Callable[..., Server], tmp_path: Path):
    server, figures = other(), tmp_path / "bench.json"
    against = ("--against", f"127.0.0.1:{server.port}", "--against-pid", server.pid)
    assert bench("--only", "pairing,crowd", "--json", figures, *against) == 0
    report = json.loads(figures.read_text())
    assert [one["server"] for one in report["pairing"][:3]] == ["ours", "bare uvloop", f"127.0.0.1:{server.port}"]
    ours, _, theirs = (one["rounds"] for one in report["pairing"][:3])
    [ratio, *_] = [one for one in report["pairing_ratios"] if one["server"].endswith(str(server.port))]
    assert [one["p99_ms"] for one in ratio["rounds"]] == [
        a["p99_ms"] / b["p99_ms"] for a, b in zip(ours, theirs, strict=True)
    ]
    assert report["group"] == []


def test_an_earlier_commit_is_measured_beside(tmp_path: Path):
    figures = tmp_path / "bench.json"
    assert bench("--only", "pairing,group", "--base", "HEAD", "--json", figures) == 0
    report = json.loads(figures.read_text())
    assert {one["server"] for one in report["pairing"]} == {"ours", "HEAD", "bare uvloop"}
    assert [(one["server"], len(one["rounds"])) for one in report["group"]] == [("ours", 2), ("HEAD", 2)] * 3


def test_a_wrong_answer_of_the_other_is_a_failure(other: Callable[..., Server], capsys: pytest.CaptureFixture[str]):
    server = other("swapped")
    assert bench("--only", "pairing", "--against", f"127.0.0.1:{server.port}") == 1
    told = capsys.readouterr()
    assert "was introduced to its partner as" in told.err
    assert "ours" in told.out  # the rest was measured


def test_a_world_that_open_files_do_not_allow_is_skipped_and_said():
    """In a process of its own: a hard limit cannot be raised again."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200));"
        "from scripts.step_progress import StepProgress;"
        "from scripts.bench.rendezvous.measure import RendezvousResults, measure_group;"
        "from scripts.bench.rendezvous.plan import RendezvousPlan;"
        "results = RendezvousResults();"
        "measure_group(RendezvousPlan(rounds=1, worlds=(8, 512)), results, StepProgress(sys.stdout));"
        "print(len(results.group), *results.failures, sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    measured, *failures = done.stdout.splitlines()[-4:]
    assert measured == "3"
    assert failures == [
        f"group of 512 ranks, {topology} topology: skipped, as open files are limited: at most 136 ranks (ulimit -Hn)"
        for topology in ("full", "star", "tree")
    ]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--only", "pairing,punching"], "'punching' is unknown; allowed: pairing, crowd, group, relay"),
        (["--against", "nowhere"], "host:port"),
        (["--against", "127.0.0.1:1", "--only", "group"], "pairing dialect only"),
        (["--base", "no such commit"], "COMMIT is 'no such commit'"),
        (["--against-pid", "1"], "--against-pid 1 needs --against"),
        (["--picture", "bench.gif"], "must end in .svg or .png"),
        (["--json", "no/such/folder/bench.json"], "in a folder that does not exist"),
    ],
)
def test_flags_that_cannot_be_meant(flags: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    assert main(["bench", "rendezvous", *flags]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "InvalidEvent" not in told
