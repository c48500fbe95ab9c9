import errno
from xml.etree import ElementTree

import pytest

from statemachine.local.moto_backend import with_system_errors_answered


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
