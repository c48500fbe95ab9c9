from types import SimpleNamespace
from typing import Any

from scripts.bench.input.judge import FAILED, REFUSED, Verdict
from scripts.bench.input.measure import InputResults


def mutation(number: int, kind: str) -> Any:
    return SimpleNamespace(number=number, kind=kind, change=f"{kind} at 7", original=SimpleNamespace(name="a.pt"))


def verdict(outcome: str, *problems: str, **rows: int) -> Verdict:
    return Verdict(outcome, list(problems), rows)


def test_mutations_are_counted_by_kind_and_what_failed_is_told_by_its_last_line() -> None:
    results = InputResults("eager")
    results.add(mutation(0, "cut"), verdict(REFUSED))
    results.add(mutation(1, "cut"), verdict(REFUSED, unchanged=3))
    results.add(mutation(2, "flip"), verdict(FAILED, "Traceback ...\nKeyError: 'a'\n", unchanged=1))
    assert results.outcomes == {"cut": {REFUSED: 2}, "flip": {FAILED: 1}}
    assert results.rows == {"unchanged": 4}
    assert results.failures == ["mutation 2 (a.pt, flip at 7): KeyError: 'a'"]
    report = results.to_json()
    assert (report["engine"], report["outcomes"]) == ("eager", {"cut": {REFUSED: 2}, "flip": {FAILED: 1}})
    assert [one["number"] for one in report["failed"]] == [2]
