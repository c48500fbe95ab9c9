from statemachine.local.refusals import Refusals


def codes(refusals: Refusals, *starts: tuple[str, str, float]) -> list[str | None]:
    answers = [refusals.begin(*start) for start in starts]
    return [answer.code if answer else None for answer in answers]


def test_nothing_is_refused_unless_it_is_asked_for():
    assert codes(Refusals(), *(("rank", str(number), 0.0) for number in range(2000))) == [None] * 2000


def test_a_quota_counts_all_functions_and_frees_what_has_ended():
    refusals = Refusals(concurrency=2)
    assert codes(refusals, ("init", "1", 0.0), ("rank", "2", 0.0), ("rank", "3", 0.0)) == [
        None,
        None,
        "TooManyRequestsException",
    ]
    refusals.end("3")  # it never began, and frees nothing
    assert codes(refusals, ("rank", "4", 0.0)) == ["TooManyRequestsException"]
    refusals.end("1")
    assert codes(refusals, ("rank", "4", 0.0)) == [None]


def test_an_inactive_function_is_woken_by_the_first_invocation_that_it_refuses():
    refusals = Refusals(waking_s={"rank": 3.0})
    starts = [("init", "1", 0.0), ("rank", "2", 100.0), ("rank", "3", 102.9), ("rank", "4", 103.0)]
    pending = "CodeArtifactUserPendingException"
    assert codes(refusals, *starts) == [None, pending, pending, None]
    refusal = Refusals(waking_s={"rank": 3.0}).begin("rank", "1", 0.0)
    assert refusal is not None
    assert (refusal.status, "wakes within 3.0 s" in refusal.message) == (409, True)


def test_a_refused_start_does_not_count_as_one_that_runs():
    refusals = Refusals(concurrency=1, waking_s={"rank": 1.0})
    assert codes(refusals, ("rank", "1", 0.0), ("rank", "2", 1.0)) == ["CodeArtifactUserPendingException", None]


def test_the_state_of_a_function_is_told_without_waking_it():
    refusals = Refusals(waking_s={"rank": 3.0})
    assert [refusals.state(function, 100.0) for function in ("init", "rank", "rank")] == [
        "Active",
        "Inactive",
        "Inactive",
    ]
    refusals.begin("rank", "1", 100.0)
    assert [refusals.state("rank", now) for now in (100.0, 102.9, 103.0)] == ["Pending", "Pending", "Active"]
