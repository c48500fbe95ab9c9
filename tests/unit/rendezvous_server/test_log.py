import asyncio
import json
import os
import threading
from collections.abc import Callable

from lambda_image.comm.connecting.group_name import group_name
from rendezvous_server.effects import Outcome
from rendezvous_server.log import MAX_LINES, Log, to_descriptor

PATIENCE_S = 30.0


def logging(story: Callable[[Log], None], write: Callable[[bytes], None], limit_s: float = PATIENCE_S) -> Log:
    """Tells the story to a log, and closes it."""

    async def run() -> Log:
        log = Log(write, asyncio.get_running_loop())
        story(log)
        log.close(limit_s)
        return log

    return asyncio.run(run())


def test_every_event_is_a_line_of_json() -> None:
    written = bytearray()

    def story(log: Log) -> None:
        log.event("one", number=1)
        log.flush()
        log.event("two", text="a\nb")

    logging(story, written.extend)
    assert [json.loads(line) for line in written.splitlines()] == [
        {"event": "one", "number": 1},
        {"event": "two", "text": "a\nb"},
    ]


def test_a_connections_line_is_what_an_encoder_would_write() -> None:
    written = bytearray()

    def story(log: Log) -> None:
        log.connection(Outcome.PAIRED, "pairing", "192.0.2.7", 61.30049, None)
        log.connection(Outcome.REJECTED, None, "2001:db8::1", 0.0, {"reason": 'a "b"\n', "rank": 2, "run_id": None})

    logging(story, written.extend)
    assert [json.loads(line) for line in written.splitlines()] == [
        {"event": "connection", "outcome": "paired", "dialect": "pairing", "host": "192.0.2.7", "seconds": 61.3},
        {"event": "connection", "outcome": "rejected", "dialect": None, "host": "2001:db8::1", "seconds": 0.0}
        | {"reason": 'a "b"\n', "rank": 2, "run_id": None},
    ]


def test_the_secret_end_of_a_groups_name_is_left_out() -> None:
    written = bytearray()
    name = group_name("run-7", bytes(32))

    def story(log: Log) -> None:
        log.connection(Outcome.LEFT, "group", "192.0.2.7", 1.0, {"run_id": name, "rank": 2})
        log.connection(Outcome.REJECTED, "group", "192.0.2.7", 1.0, {"reason": f"rank 2 is in group {name!r} already"})
        log.connection(Outcome.LEFT, "group", "192.0.2.7", 1.0, {"run_id": f"{name}f:1"})  # some other client's own

    logging(story, written.extend)
    joined, rejected, other = map(json.loads, written.splitlines())
    assert joined["run_id"] == "run-7"
    assert rejected["reason"] == "rank 2 is in group 'run-7' already"
    assert other["run_id"] == f"{name}f:1"


def test_lines_wait_for_others_but_not_for_ever() -> None:
    written = threading.Event()

    async def run() -> None:
        log = Log(lambda data: written.set() if data else None, asyncio.get_running_loop())
        log.event("one")
        assert await asyncio.to_thread(written.wait, PATIENCE_S)
        log.close()

    asyncio.run(run())


def test_a_reader_that_stalls_costs_lines_and_nothing_else() -> None:
    stalled, go_on, written = threading.Event(), threading.Event(), bytearray()

    def write(data: bytes) -> None:
        stalled.set()
        assert go_on.wait(PATIENCE_S)
        written.extend(data)

    def story(log: Log) -> None:
        log.event("first")
        log.flush()
        assert stalled.wait(PATIENCE_S)
        for _ in range(MAX_LINES + 3):
            log.event("more")
        assert log.dropped == 3
        go_on.set()

    logging(story, write)
    lines = [json.loads(line) for line in written.splitlines()]
    assert len(lines) == 1 + MAX_LINES + 1
    assert lines[-1] == {"event": "log_lines_dropped", "lines": 3}


def test_closing_does_not_wait_for_a_reader_that_never_comes_back() -> None:
    never = threading.Event()

    def story(log: Log) -> None:
        log.event("first")

    logging(story, lambda data: never.wait(PATIENCE_S) and None, limit_s=0.01)
    never.set()


def test_without_a_reader_the_log_ends_and_counts() -> None:
    read, write = os.pipe()
    os.close(read)

    def story(log: Log) -> None:
        log.event("nobody reads this")

    log = logging(story, to_descriptor(write))
    os.close(write)
    log.event("nor this")
    assert log.dropped == 1


def test_a_descriptor_takes_more_than_a_pipe_holds() -> None:
    read, write = os.pipe()
    data = os.urandom(300_000)
    received = bytearray()

    def reader() -> None:
        while part := os.read(read, 10_000):
            received.extend(part)

    thread = threading.Thread(target=reader)
    thread.start()
    to_descriptor(write)(data)
    os.close(write)
    thread.join(PATIENCE_S)
    os.close(read)
    assert bytes(received) == data
