"""What is answered over HTTP to those who ask whether the server lives, on its HTTP port and on its rendezvous port."""

from http import HTTPStatus

METHODS = ("GET", "HEAD")
HEALTH_PATHS = ("/livez", "/readyz")
WITHOUT_KEY = (
    "this server has no key, so that everybody who reaches it may join groups and use relays; give it, and the ranks, "
    "RENDEZVOUS_KEY or RENDEZVOUS_KEY_FILE"
)
NOT_HERE = (
    "this is the port of a rendezvous server, which answers /livez and /readyz here and has its metrics elsewhere"
)


def health(path: str, *, draining: bool, authenticated: bool) -> tuple[HTTPStatus, str]:
    """Returns status and text for one of HEALTH_PATHS."""
    if path == "/readyz" and draining:
        return HTTPStatus.SERVICE_UNAVAILABLE, "shutting down"
    if path == "/readyz" and not authenticated:
        return HTTPStatus.OK, f"ok, but {WITHOUT_KEY}"
    return HTTPStatus.OK, "ok"


def answer_on_rendezvous_port(method: str, path: str, *, draining: bool, authenticated: bool) -> bytes:
    """Returns the whole answer to a request that came where ranks and pairs are expected."""
    if method not in METHODS:
        status, text = HTTPStatus.METHOD_NOT_ALLOWED, NOT_HERE
    elif path in HEALTH_PATHS:
        status, text = health(path, draining=draining, authenticated=authenticated)
    else:
        status, text = HTTPStatus.NOT_FOUND, NOT_HERE
    body = f"{text}\n".encode()
    headers = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *([f"Allow: {', '.join(METHODS)}"] if status is HTTPStatus.METHOD_NOT_ALLOWED else []),
    ]
    return "".join(f"{line}\r\n" for line in [*headers, ""]).encode() + (b"" if method == "HEAD" else body)
