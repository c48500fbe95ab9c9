"""What is said of processes that end. They are started and ended in tests/integration."""

import io
import json
from typing import Any, cast

import pytest

from scripts.aws_endpoint import EndpointError
from scripts.local_cloud import ENDPOINT, RENDEZVOUS, Event, LocalCloud, _listen, ending


class Process:
    """A process that runs, or ended with a status."""

    def __init__(self, *statuses: int | None) -> None:
        self.statuses = list(statuses)
        self.returncode: int | None = None
        self.terminated = False

    def terminate(self) -> None:
        self.terminated = True

    def poll(self) -> int | None:
        self.returncode = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return self.returncode


def cloud(rendezvous: Process, endpoint: Process, events: list[Event]) -> LocalCloud:
    processes = cast(Any, {RENDEZVOUS: rendezvous, ENDPOINT: endpoint})
    return LocalCloud("http://127.0.0.1:1", "127.0.0.1:2", processes, events.append)


@pytest.mark.parametrize(
    ("status", "words"), [(-9, "was killed by SIGKILL"), (0, "ended with status 0; its own message is above")]
)
def test_an_end_is_told_in_words(status: int, words: str) -> None:
    assert ending(status) == words


def test_a_part_that_has_ended_is_named() -> None:
    cloud(Process(None), Process(None), []).check()
    with pytest.raises(EndpointError, match=r"^the local endpoint was killed by SIGTERM$"):
        cloud(Process(None), Process(-15), []).check()
    with pytest.raises(EndpointError, match=r"^the rendezvous server ended with status 1"):
        cloud(Process(1), Process(None), []).check()


def test_all_parts_are_asked_to_end_and_nobody_waits() -> None:
    parts = Process(None), Process(None)
    cloud(*parts, []).stop()
    assert all(part.terminated and part.returncode is None for part in parts)


def test_a_lost_rendezvous_server_is_one_warning_and_the_run_goes_on() -> None:
    events: list[Event] = []
    look = cloud(Process(None, -9), Process(None), events).lookout()
    for _ in range(4):
        look()
    [warning] = events
    assert warning["event"] == "warning"
    assert warning["message"].startswith("the rendezvous server was killed by SIGKILL. Ranks that have not met")


def test_what_a_part_logs_is_passed_on_and_so_is_what_is_no_event() -> None:
    events: list[Event] = []
    _listen(io.StringIO(json.dumps({"event": "report"}) + "\nTraceback (most recent\n"), events.append)
    assert events == [{"event": "report"}, {"event": "log", "line": "Traceback (most recent"}]
