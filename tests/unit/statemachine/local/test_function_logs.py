from collections.abc import Callable

from statemachine.local.function_logs import KEPT, FunctionLogs, make_log_groups, store, stream_name_of
from statemachine.local.settings import ACCOUNT, DEFAULT_REGION


def texts(logs: FunctionLogs) -> list[str]:
    return [text for _, _, text in logs.take()]


def test_an_invocation_is_framed_as_lambda_frames_it() -> None:
    logs = FunctionLogs("rank", 1769, clock=lambda: 12.5, later=lambda delay_s, call: call())
    logs.began("rank/0", "id-1")
    logs.line("rank/0", "hello")
    logs.ended("rank/0", "id-1", 0.01234, 55)
    assert logs.take() == [
        ("rank/0", 12_500, "START RequestId: id-1 Version: $LATEST"),
        ("rank/0", 12_500, "hello"),
        ("rank/0", 12_500, "END RequestId: id-1"),
        (
            "rank/0",
            12_500,
            "REPORT RequestId: id-1\tDuration: 12.34 ms\tBilled Duration: 13 ms\tMemory Size: 1769 MB\t"
            "Max Memory Used: 55 MB",
        ),
    ]
    assert logs.take() == []


def test_the_last_lines_of_a_worker_come_before_the_end_and_the_end_before_the_next_start() -> None:
    due: list[Callable[[], None]] = []
    logs = FunctionLogs("rank", 128, later=lambda delay_s, call: due.append(call))
    logs.began("w", "one")
    logs.ended("w", "one", 1.0, None, "error")
    logs.line("w", "late")
    logs.began("w", "two")
    logs.ended("w", "two", 1.0, None)
    for call in due:
        call()
    lines = texts(logs)
    assert [line.split()[0] for line in lines] == ["START", "late", "END", "REPORT", "START", "END", "REPORT"]
    assert lines[3].endswith("\tStatus: error")
    assert [line.split()[2] for line in lines if line != "late"] == ["one", "one", "one", "two", "two", "two"]


def test_stored_lines_are_in_cloudwatch_and_do_not_grow_for_ever() -> None:
    from moto.backends import get_backend

    store({"a": [("a/0", 1_000_000_000_000 + n, str(n)) for n in range(KEPT + 5)], "none": []})
    groups = get_backend("logs")[ACCOUNT][DEFAULT_REGION].groups  # type: ignore[attr-defined]
    assert "/aws/lambda/none" not in groups
    events = groups["/aws/lambda/a"].streams[stream_name_of("a/0")].events
    assert len(events) == KEPT
    assert events[-1].message == f"{KEPT + 4}\n"
    assert ":" not in stream_name_of("127.0.0.1:4000")


def test_groups_are_made_once_and_keep_what_is_in_them() -> None:
    from moto.backends import get_backend

    groups = get_backend("logs")[ACCOUNT][DEFAULT_REGION].groups  # type: ignore[attr-defined]
    make_log_groups(["b", "c"])
    store({"b": [("b/0", 1, "x")]})
    make_log_groups(["b", "c"])
    assert list(groups["/aws/lambda/b"].streams) == [stream_name_of("b/0")]
    assert not groups["/aws/lambda/c"].streams
