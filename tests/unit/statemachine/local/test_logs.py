from statemachine.local.logs import LINE_LIMIT, LogLines, log_event


def test_lines_are_whole_however_their_bytes_arrive() -> None:
    lines = LogLines()
    assert lines.feed(b'{"a"') == []
    assert lines.feed(b": 1}\nsecond\r\n\nthi") == ['{"a": 1}', "second"]
    assert lines.feed(b"rd") == []
    assert lines.feed(b"") == ["third"]
    assert lines.feed(b"") == []


def test_a_line_without_end_is_cut() -> None:
    lines = LogLines()
    assert [len(line) for line in lines.feed(b"x" * (2 * LINE_LIMIT + 1))] == [LINE_LIMIT, LINE_LIMIT]
    assert lines.feed(b"\n") == ["x"]


def test_bytes_that_are_not_text_are_shown_as_such() -> None:
    assert LogLines().feed(b"\xff\n") == ["\ufffd"]


def test_an_event_keeps_its_keys_and_says_where_it_comes_from() -> None:
    assert log_event('{"event": "phase", "rank": 3}', "rank", 77) == {
        "event": "phase",
        "rank": 3,
        "function": "rank",
        "worker": 77,
    }


def test_any_other_line_becomes_an_event() -> None:
    for line in ("Traceback", "[1, 2]", "17"):
        assert log_event(line, "init", 77, "stderr") == {
            "event": "log",
            "function": "init",
            "worker": 77,
            "stream": "stderr",
            "line": line,
        }


def test_a_line_of_brackets_is_a_line_like_any_other():
    """If reading it raised, nobody would empty the worker's pipe any more, and the worker would wait for ever."""
    line = "[" * 200_000
    assert log_event(line, "rank", 7) == {
        "event": "log", "function": "rank", "worker": 7, "stream": "stdout", "line": line,
    }  # fmt: skip
