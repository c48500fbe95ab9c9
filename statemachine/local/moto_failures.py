"""Answers in the form of AWS what moto cannot answer, where clients would get a page of HTML."""

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from xml.sax.saxutils import escape

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
LAMBDA = re.compile(r"/20\d\d-\d\d-\d\d/")  # what paths of Lambda's API begin with
# What moto breaks at, and what AWS answers there: status, code, message.
KNOWN: dict[str, tuple[str, str, str]] = {
    "AWSStepFunctions.DescribeMapRun": ("400 Bad Request", "ResourceNotFound", "Resource not found: no such map run"),
    "AWSStepFunctions.UpdateMapRun": ("400 Bad Request", "ResourceNotFound", "Resource not found: no such map run"),
}


def with_failures_answered(app: Application) -> Application:
    """Makes a WSGI application answer an error of its own in the protocol of the request.

    The status is 501, which clients do not repeat, since the same request would fail in the same way.
    """

    def answering(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        pages: list[str] = []  # statuses of pages of HTML, by which moto says that it has no such operation

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            if status.startswith("404 ") and LAMBDA.match(environ.get("PATH_INFO", "")) and _is_html(headers):
                pages.append(status)
                return lambda _data: None
            return start_response(status, headers, *rest)

        try:
            body = app(environ, start)
        except Exception as error:
            logging.getLogger(__name__).warning("%s: %s: %s", _asked(environ), type(error).__name__, error)
            return _answer(environ, start_response, type(error).__name__)
        return _answer(environ, start_response, "NotImplementedError") if pages else body

    return answering


def _is_html(headers: list[tuple[str, str]]) -> bool:
    return any(name.lower() == "content-type" and value.startswith("text/html") for name, value in headers)


def _asked(environ: Mapping[str, Any]) -> str:
    return environ.get("HTTP_X_AMZ_TARGET", "") or f"{environ.get('REQUEST_METHOD')} {environ.get('PATH_INFO')}"


def _answer(environ: Mapping[str, Any], start_response: Callable[..., Any], error: str) -> list[bytes]:
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    otherwise = f"{_asked(environ)} is not answered here: {error}"
    status, code, message = KNOWN.get(target, ("501 Not Implemented", "InternalFailure", otherwise))
    if target or LAMBDA.match(environ.get("PATH_INFO", "")):
        kind, body = "application/x-amz-json-1.0", json.dumps({"__type": code, "message": message})
    else:
        kind = "application/xml"
        inner = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        body = f"<ErrorResponse>{inner}</ErrorResponse>" if environ.get("REQUEST_METHOD") == "POST" else inner
    data = body.encode()
    headers = [("Content-Type", kind), ("Content-Length", str(len(data))), ("x-amzn-ErrorType", code)]
    start_response(status, headers)
    return [data]
