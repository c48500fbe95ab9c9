"""What is answered over HTTP, read by the standard library's client."""

import http.client
import io

import pytest

from rendezvous_server.health_answers import answer_on_rendezvous_port


class Answered:
    """A socket that has been sent this."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def asked(method: str, path: str, *, draining: bool = False, authenticated: bool = True) -> tuple[int, str, str | None]:
    """Status, body and the header Allow."""
    data = answer_on_rendezvous_port(method, path, draining=draining, authenticated=authenticated)
    answer = http.client.HTTPResponse(Answered(data), method=method)  # type: ignore[arg-type]
    answer.begin()
    assert answer.will_close
    assert answer.getheader("Content-Length") is not None
    return answer.status, answer.read().decode(), answer.getheader("Allow")


def test_health_is_told_here_too() -> None:
    assert asked("GET", "/livez") == asked("GET", "/readyz") == (200, "ok\n", None)
    assert asked("GET", "/livez", draining=True)[0] == 200
    assert asked("GET", "/readyz", draining=True) == (503, "shutting down\n", None)
    status, text, _ = asked("GET", "/readyz", authenticated=False)
    assert (status, text[:7]) == (200, "ok, but")


def test_a_head_has_no_body() -> None:
    assert asked("HEAD", "/livez") == (200, "", None)


@pytest.mark.parametrize(("method", "status"), [("GET", 404), ("HEAD", 404), ("POST", 405), ("CONNECT", 405)])
def test_whoever_asks_for_more_learns_what_this_port_is(method: str, status: int) -> None:
    found, text, allow = asked(method, "/metrics")
    assert found == status
    assert ("rendezvous server" in text) == (method != "HEAD")
    assert allow == ("GET, HEAD" if status == 405 else None)
