import json
import stat
from io import StringIO
from pathlib import Path

import pytest

from scripts.aws_endpoint import EndpointError
from scripts.runs.run_progress import RunProgress
from scripts.sweep.configuration import Configuration
from scripts.sweep.containers import (
    KILLS,
    ContainerEndpoint,
    ContainerMeasurer,
    DockerEngine,
    OomEvents,
    OutOfMemory,
    find_engine,
    in_containers,
    too_large,
)
from scripts.sweep.folder import FAILED, NOT_RUN

ENGINE = DockerEngine(2, 8192)
SMALL = Configuration(1, 512, 10, memory_mb=128)


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose `docker` writes down how it was called, and answers with the file that its words name."""
    folder = tmp_path / "docker"
    folder.mkdir()
    script = folder / "docker"
    script.write_text(
        f"#!/bin/sh\ncd {folder}\n"
        'echo "$RANK_MEMORY_MB $RANK_CPUS $WORLD_SIZE $COMPOSE_PROJECT_NAME: $*" >> calls\n'
        'for word in "$@"; do [ -f "$word.answer" ] && cat "$word.answer"; [ -f "$word.fails" ] && { cat "$word.fails" '
        ">&2; exit 1; }; done; exit 0\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def calls(docker: Path) -> list[str]:
    return (docker / "calls").read_text().splitlines()


def measurer() -> ContainerMeasurer:
    return ContainerMeasurer(ENGINE, RunProgress(StringIO(), []), "of-a-test")


def test_an_engine_is_found(docker: Path):
    (docker / "info.answer").write_text(json.dumps({"NCPU": 2, "MemTotal": 8192 << 20}))
    assert find_engine() == ENGINE


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("info.fails", "Cannot connect to the Docker daemon\nmore\n", "Cannot connect to the Docker daemon"),
        ("info.answer", json.dumps({"ServerErrors": ["Cannot connect"]}), "Cannot connect"),
        ("info.answer", "[]", "`docker info` gives no facts"),
        ("compose.fails", "docker: 'compose' is not a docker command.", "'compose' is not a docker command"),
    ],
)
def test_why_there_is_no_engine(docker: Path, name: str, text: str, why: str):
    (docker / name).write_text(text)
    assert why in str(find_engine())


def test_no_docker_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_engine() == "there is no docker command"


def test_what_the_machine_has_no_room_for_is_not_run():
    assert too_large(Configuration(1, 512, 10, memory_mb=7168), ENGINE) is None
    large = Configuration(2, 512, 10, memory_mb=4096)
    measured = measurer().run(large)
    assert (measured.status, measured.configuration) == (NOT_RUN, large)
    assert measured.reason == "its ranks and 1,024 MB beside them need 9,216 MB, and the Docker engine has 8,192 MB"


def test_ranks_that_cannot_even_start_fail_for_want_of_memory(docker: Path):
    (docker / "port.answer").write_text("127.0.0.1:9\n")  # where nobody answers
    (docker / "events.answer").write_text("killed\n" * KILLS)
    measured = measurer().run(SMALL)
    assert (measured.status, measured.reason) == (
        FAILED,
        "out of memory: 2 processes were killed before they could work",
    )
    composed = [line.partition(": ")[2] for line in calls(docker) if ": compose" in line]
    assert composed == ["compose build", "compose up --detach --no-build serve", "compose port serve 4566"]
    assert calls(docker)[0].startswith("128 0.07 1 of-a-test: ")


def test_other_sizes_make_only_the_ranks_anew(docker: Path):
    (docker / "port.answer").write_text("127.0.0.1:9\n")
    one = ContainerMeasurer(ENGINE, RunProgress(StringIO(), []), "of-a-test", start_s=0.0)
    for memory_mb in (1769, 6144):
        with pytest.raises(EndpointError, match="was not ready within 0 s"):
            one.run(Configuration(1, 512, 10, memory_mb=memory_mb))
    sizes = ["1769 1.00 1 of-a-test", "6144 2.00 1 of-a-test"]
    assert [line.split(": ")[0] for line in calls(docker) if " up " in line] == sizes
    assert calls(docker)[-1].endswith("compose up --detach --no-build --no-deps rank")
    one.down()


def test_fewer_kills_are_left_to_the_state_machine():
    kills = [KILLS - 1, KILLS]
    endpoint = ContainerEndpoint("http://127.0.0.1:9", lambda: kills.pop(0))
    endpoint.check()
    with pytest.raises(OutOfMemory, match="out of memory: 2 processes were killed"):
        endpoint.check()


def test_only_kills_of_this_size_count(docker: Path):
    (docker / "events.answer").write_text("killed\n" * KILLS)
    events = OomEvents("of-a-test")
    assert events._listener.wait(60) == 0
    assert events.count() == KILLS
    events.begin()
    assert events.count() == 0
    events.end()
    assert "--filter event=oom --filter label=com.docker.compose.project=of-a-test" in calls(docker)[0]


def test_compose_that_fails_is_one_line_and_nothing_is_left(docker: Path, tmp_path: Path):
    (docker / "build.fails").write_text("step 1\nno space left on device\n")
    with (
        pytest.raises(EndpointError, match="`docker compose build` failed: no space left on device"),
        in_containers(ENGINE, RunProgress(StringIO(), []), tmp_path) as one,
    ):
        one.run(SMALL)
    assert calls(docker)[-1].endswith("compose down --volumes --timeout=5")
    assert "cosmicai-sweep-" in calls(docker)[-1]
