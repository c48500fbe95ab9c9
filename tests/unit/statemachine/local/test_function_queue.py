import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statemachine.local.function_queue import (
    Assigned,
    Completed,
    FunctionQueue,
    Invocation,
    InvocationRefused,
    Overrun,
    TooManyRequestsError,
    UnknownInvocationError,
)
from statemachine.local.outcomes import InvocationOutcome, failure

ANSWER = InvocationOutcome(b"{}")
BROKEN = failure("Runtime.ImportModuleError", "no module named x")


def invocation(name: str, expires: float = 100) -> Invocation:
    return Invocation(name, b"{}", expires)


def queue(kept: tuple[str, ...] = ("w",), waiting_limit: int = 2, timeout_s: float = 10) -> FunctionQueue:
    return FunctionQueue(timeout_s, waiting_limit, kept)


def error_of(event: Any) -> dict[str, Any]:
    assert isinstance(event, Completed)
    assert event.outcome.failed
    return json.loads(event.outcome.payload)


def test_an_idle_worker_gets_the_invocation_at_once_and_its_answer_completes_it() -> None:
    q = queue()
    assert q.poll("w", 0) == []
    assert q.submit(invocation("a"), 1) == [Assigned("w", invocation("a"))]
    assert q.answer("a", ANSWER, 3) == [Completed("a", ANSWER, "w", duration_s=2)]
    assert q.next_expiry() is None


def test_invocations_wait_in_order_for_workers_and_workers_in_order_for_invocations() -> None:
    q = queue(kept=("v", "w"))
    q.submit(invocation("a"), 0)
    q.submit(invocation("b"), 0)
    assert q.poll("w", 1) == [Assigned("w", invocation("a"))]
    assert q.poll("v", 1) == [Assigned("v", invocation("b"))]
    q.answer("b", ANSWER, 2)
    q.answer("a", ANSWER, 2)
    q.poll("v", 3)
    q.poll("w", 3)
    assert q.submit(invocation("c"), 4) == [Assigned("v", invocation("c"))]


def test_beyond_the_limit_of_waiting_invocations_the_next_is_refused() -> None:
    q = queue(waiting_limit=1)
    q.poll("w", 0)
    q.submit(invocation("runs"), 0)
    q.submit(invocation("waits"), 0)
    with pytest.raises(TooManyRequestsError, match="1 invocations run and 1 wait"):
        q.submit(invocation("refused"), 0)
    assert "refused" not in q.waiting


def test_an_idle_worker_serves_even_where_none_may_wait() -> None:
    q = queue(waiting_limit=0)
    q.poll("w", 0)
    assert q.submit(invocation("a"), 0) == [Assigned("w", invocation("a"))]


def test_an_invocation_past_the_timeout_fails_and_its_worker_is_to_be_ended() -> None:
    q = queue(timeout_s=10)
    q.poll("w", 0)
    q.submit(invocation("a"), 5)
    assert q.next_expiry() == 15
    assert q.expire(14.9) == []
    completed, overrun = q.expire(15)
    assert overrun == Overrun("w")
    assert error_of(completed) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: a Error: Task timed out after 10.00 seconds",
    }
    with pytest.raises(UnknownInvocationError):
        q.answer("a", ANSWER, 16)


def test_an_invocation_that_nobody_takes_is_refused_in_time() -> None:
    q = queue()
    q.submit(invocation("a", expires=7), 0)
    assert q.next_expiry() == 7
    [refused] = q.expire(7)
    assert isinstance(refused, InvocationRefused)
    assert refused.id == "a"
    assert q.poll("w", 8) == []


def test_a_worker_that_dies_answers_its_invocation_with_the_way_it_died() -> None:
    q = queue()
    q.poll("w", 0)
    q.submit(invocation("a"), 0)
    [completed] = q.lost("w", -9, 1)
    assert error_of(completed) == {
        "errorType": "Runtime.ExitError",
        "errorMessage": "RequestId: a Error: Runtime exited with error: signal: killed",
    }
    assert not q.ready


def test_an_idle_worker_that_dies_gets_nothing_more() -> None:
    q = queue()
    q.poll("w", 0)
    assert q.lost("w", 1, 1) == []
    assert q.submit(invocation("a"), 2) == []
    assert q.poll("w", 3) == [Assigned("w", invocation("a"))]


def test_the_same_answer_twice_is_unknown() -> None:
    q = queue()
    q.poll("w", 0)
    q.submit(invocation("a"), 0)
    q.answer("a", ANSWER, 1)
    with pytest.raises(UnknownInvocationError):
        q.answer("a", ANSWER, 1)


def test_what_could_not_be_delivered_goes_to_the_next_worker_before_all_others() -> None:
    q = queue(kept=())
    q.poll("gone", 0)
    q.submit(invocation("a"), 0)
    q.submit(invocation("b"), 0)
    assert q.undelivered(invocation("a"), 1) == []
    assert q.poll("next", 2) == [Assigned("next", invocation("a"))]


def test_what_could_not_be_delivered_to_a_worker_that_died_is_answered_once() -> None:
    q = queue()
    q.poll("w", 0)
    q.submit(invocation("a"), 0)
    q.lost("w", -9, 1)
    assert q.undelivered(invocation("a"), 1) == []
    assert not q.waiting


def test_a_withdrawn_invocation_is_not_begun_but_one_that_runs_is_finished() -> None:
    q = queue()
    q.poll("w", 0)
    q.submit(invocation("runs"), 0)
    q.submit(invocation("waits"), 0)
    q.withdraw("runs")
    q.withdraw("waits")
    assert not q.waiting
    assert q.answer("runs", ANSWER, 1)


def test_ready_once_every_worker_that_is_kept_has_asked() -> None:
    q = queue(kept=("v", "w"))
    q.poll("v", 0)
    q.poll("from outside", 0)
    assert not q.ready
    q.poll("w", 0)
    assert q.ready
    q.leave("w")  # its connection is lost first, its process ends an instant later
    assert q.ready
    q.lost("w", 0, 1)
    assert not q.ready


def test_where_no_worker_is_kept_one_from_outside_makes_it_ready() -> None:
    q = queue(kept=())
    assert not q.ready
    q.poll("10.0.0.1:4000", 0)
    assert q.ready
    q.leave("10.0.0.1:4000")
    assert not q.ready


def test_a_handler_that_no_worker_can_load_fails_what_waits_and_what_comes() -> None:
    q = queue(kept=("v", "w"))
    q.submit(invocation("a"), 0)
    assert q.start_failed("v", BROKEN, 1) == []  # the other may still start
    [completed] = q.start_failed("w", BROKEN, 1)
    assert error_of(completed)["errorType"] == "Runtime.ImportModuleError"
    assert len(q.submit(invocation("b"), 2)) == 1
    q.poll("w", 3)  # someone has mended it
    assert q.submit(invocation("c"), 4) == [Assigned("w", invocation("c"))]


def test_a_process_that_exits_before_it_asks_for_work_is_a_failed_start() -> None:
    q = queue()
    q.submit(invocation("a"), 0)
    [completed] = q.lost("w", 3, 1)
    assert error_of(completed)["errorMessage"] == "Error: Runtime exited with error: exit status 3"


def test_the_reported_reason_of_a_failed_start_outlasts_the_exit_that_follows() -> None:
    q = queue()
    q.start_failed("w", BROKEN, 0)
    q.lost("w", 1, 1)
    assert q.broken == {"w": BROKEN}


def test_a_failed_start_beside_a_working_worker_fails_nothing() -> None:
    q = queue(kept=("v", "w"))
    q.poll("v", 0)
    q.submit(invocation("a"), 0)
    q.submit(invocation("b"), 0)
    assert q.start_failed("w", BROKEN, 1) == []
    q.answer("a", ANSWER, 2)
    assert q.poll("v", 2) == [Assigned("v", invocation("b"))]


STEPS = st.lists(
    st.tuples(st.sampled_from(["submit", "poll", "leave", "answer", "lost", "broken", "expire"]), st.integers(0, 2)),
    max_size=60,
)


@given(STEPS)
def test_whatever_happens_every_invocation_leaves_exactly_once(steps: list[tuple[str, int]]) -> None:
    q = queue(kept=("0", "1"), waiting_limit=3, timeout_s=4)
    submitted: set[str] = set()
    left: list[str] = []
    for now, (step, number) in enumerate([*steps, ("expire", 0)]):
        worker = str(number)
        events: list[Any] = []
        if step == "submit":
            with contextlib.suppress(TooManyRequestsError):
                events = q.submit(invocation(f"i{now}", expires=now + 6), now)
                submitted.add(f"i{now}")
        elif step == "poll":
            events = q.poll(worker, now)
        elif step == "leave":
            q.leave(worker)
        elif step == "answer" and q.running:
            events = q.answer(list(q.running)[number % len(q.running)], ANSWER, now)
        elif step == "lost":
            events = q.lost(worker, -9, now)
        elif step == "broken":
            events = q.start_failed(worker, BROKEN, now)
        elif step == "expire":
            events = q.expire(now)
        left += [event.id for event in events if isinstance(event, Completed | InvocationRefused)]
        assert not (q.idle and q.waiting)
    left += [event.id for event in q.expire(10**6) if isinstance(event, Completed | InvocationRefused)]
    assert sorted(left) == sorted(submitted)
    assert q.next_expiry() is None


def test_a_worker_from_outside_that_hangs_up_loses_what_it_had_and_no_more() -> None:
    q = queue(kept=())
    q.submit(invocation("a"), 0)
    q.poll("w", 1)
    (lost,) = q.hung_up("w", 3)
    assert error_of(lost)["errorType"] == "Runtime.ExitError"
    assert lost.duration_s == 2
    assert q.hung_up("w", 4) == []
    assert not q.broken
    assert not q.ready


def test_a_worker_that_has_answered_may_hang_up() -> None:
    q = queue(kept=())
    q.submit(invocation("a"), 0)
    q.poll("w", 1)
    q.answer("a", ANSWER, 2)
    assert q.hung_up("w", 3) == []
    assert not q.broken
