import sys
import threading
from pathlib import Path

import pytest

from lambda_image.handlers.preparing import prepare

IN_A_LAMBDA = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1"}


def test_a_worker_makes_its_client_and_then_loads_modules_in_another_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wanted_later.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    made: list[tuple[str, bool]] = []
    thread = prepare(
        IN_A_LAMBDA,
        "wanted_later",
        make_client=lambda: made.append((threading.current_thread().name, "wanted_later" in sys.modules)),
    )
    assert thread is not None
    thread.join()
    assert made == [("prepare", False)]
    assert sys.modules.pop("wanted_later").__file__ == str(tmp_path / "wanted_later.py")


def test_other_processes_load_nothing_ahead() -> None:
    assert prepare({}, "wanted_later", make_client=lambda: pytest.fail("a client was made")) is None


def test_what_fails_is_left_to_the_invocation(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse() -> None:
        raise ValueError("no region")

    for thread in (prepare(IN_A_LAMBDA, "no.such.module", make_client=str), prepare(IN_A_LAMBDA, make_client=refuse)):
        assert thread is not None
        thread.join()
    assert capsys.readouterr() == ("", "")


def test_without_memory_for_a_thread_the_function_starts_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    assert prepare(IN_A_LAMBDA, make_client=str) is None
