import contextlib
import errno
import io
import json
import threading
from xml.etree import ElementTree

import pytest

from statemachine.local.moto_backend import (
    STATE_LIMIT,
    items_problem,
    too_large,
    with_name,
    with_system_errors_answered,
    with_whole_conditions,
)

PATIENCE_S = 30.0


def asked(app) -> tuple[list, bytes]:
    started = []
    body = b"".join(with_system_errors_answered(app)({}, lambda *given: started.append(given)))
    return started, body


def test_a_full_disk_is_an_answer_that_clients_do_not_repeat():
    def full(environ, start_response):
        raise OSError(errno.ENOSPC, "No space left on <device>")

    ((status, headers),), body = asked(full)
    assert status == "507 Insufficient Storage"
    assert dict(headers) == {"Content-Type": "application/xml", "Content-Length": str(len(body))}
    answer = ElementTree.fromstring(body)
    assert (answer.tag, answer.findtext("Code")) == ("Error", "OSError")
    assert answer.findtext("Message").startswith("No space left on <device> (objects are kept in ")


def test_everything_else_is_as_it_was():
    def sound(environ, start_response):
        start_response("200 OK", [])
        return [b"body"]

    def broken(environ, start_response):
        raise KeyError("a mistake of ours")

    assert asked(sound) == ([("200 OK", [])], b"body")
    with pytest.raises(KeyError):
        asked(broken)


def test_of_two_conditional_writes_of_one_version_one_succeeds():
    """The application looks and then writes, in two steps between which the other one's may fall."""
    versions, both = ["1"], threading.Barrier(2)
    succeeded = []

    def looks_then_writes(environ, start_response):
        holds = environ["HTTP_IF_MATCH"] == versions[0]
        with contextlib.suppress(threading.BrokenBarrierError):  # the other one waits for this one, as it should
            both.wait(0.2)
        if holds:
            versions[0] = "2"
            succeeded.append(environ["wsgi.input"].read())
        return [b""]

    app = with_whole_conditions(looks_then_writes)

    def write(body: bytes) -> None:
        app(
            {"REQUEST_METHOD": "PUT", "HTTP_IF_MATCH": "1", "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": "1"},
            lambda *_: None,
        )

    writers = [threading.Thread(target=write, args=(body,)) for body in (b"a", b"b")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(PATIENCE_S)
    assert len(succeeded) == 1


@pytest.mark.parametrize("environ", [{"REQUEST_METHOD": "GET", "HTTP_IF_MATCH": "1"}, {"REQUEST_METHOD": "PUT"}])
def test_other_requests_are_passed_on_as_they_are(environ):
    seen = []
    with_whole_conditions(lambda given, start: seen.append(given) or [b""])(environ, lambda *_: None)
    assert seen == [environ]


def test_an_item_of_a_map_must_fit_into_a_state():
    fits, large = {"text": "x" * (STATE_LIMIT - 11)}, {"text": "é" * (STATE_LIMIT // 2)}
    assert items_problem(json.dumps([fits] * 3).encode()) is None
    assert items_problem(json.dumps([fits, large]).encode()) == "item 1 has 262,155 bytes, and a state may have 262,144"
    assert items_problem(b"not JSON") is None
    assert items_problem(b'{"no": "array"}') is None


def test_texts_that_no_encoding_has_are_measured_too():
    half_a_sign = "\ud800" * STATE_LIMIT
    assert items_problem(json.dumps(["\ud800", half_a_sign]).encode()).startswith("item 1 has ")
    assert too_large(json.dumps({"input": half_a_sign}).encode())
    brackets = b"[" * 200_000
    assert items_problem(brackets) is None
    assert with_name(brackets) == brackets
    assert not too_large(brackets)


def test_the_input_of_an_execution_must_fit_into_a_state():
    assert not too_large(json.dumps({"input": "x" * STATE_LIMIT}).encode())
    assert too_large(json.dumps({"input": "x" * (STATE_LIMIT + 1)}).encode())
    assert not too_large(b"not JSON")
    assert not too_large(b"[]")
