"""Answers in the form of AWS what moto cannot answer, where clients would get a page of HTML."""

import json
import logging
from collections.abc import Callable, Iterable
from typing import Any
from xml.sax.saxutils import escape

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
# What moto breaks at, and what AWS answers there: status, code, message.
KNOWN: dict[str, tuple[str, str, str]] = {
    "AWSStepFunctions.DescribeMapRun": ("400 Bad Request", "ResourceNotFound", "Resource not found: no such map run"),
    "AWSStepFunctions.UpdateMapRun": ("400 Bad Request", "ResourceNotFound", "Resource not found: no such map run"),
    "AWSStepFunctions.ListExecutions": (
        "400 Bad Request",
        "ValidationException",
        "this endpoint lists the executions of a state machine (stateMachineArn), and keeps none of a map run: "
        "describe-map-run has their counts",
    ),
}


def with_failures_answered(app: Application) -> Application:
    """Makes a WSGI application answer an error of its own in the protocol of the request.

    The status is 501, which clients do not repeat, since the same request would fail in the same way.
    """

    def answering(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            return app(environ, start_response)
        except Exception as error:
            target = environ.get("HTTP_X_AMZ_TARGET", "")
            what = target or f"{environ.get('REQUEST_METHOD')} {environ.get('PATH_INFO')}"
            logging.getLogger(__name__).warning("%s: %s: %s", what, type(error).__name__, error)
            otherwise = f"{what} is not answered here: {type(error).__name__}"
            status, code, message = KNOWN.get(target, ("501 Not Implemented", "InternalFailure", otherwise))
            if target:
                kind, body = "application/x-amz-json-1.0", json.dumps({"__type": code, "message": message})
            else:
                kind = "application/xml"
                inner = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
                body = f"<ErrorResponse>{inner}</ErrorResponse>" if environ.get("REQUEST_METHOD") == "POST" else inner
            data = body.encode()
            headers = [("Content-Type", kind), ("Content-Length", str(len(data))), ("x-amzn-ErrorType", code)]
            start_response(status, headers)
            return [data]

    return answering
