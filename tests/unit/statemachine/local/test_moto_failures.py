import json
from typing import Any
from xml.etree import ElementTree

import pytest

from statemachine.local.moto_failures import with_failures_answered


def asked(**environ: str) -> tuple[str, dict[str, str], bytes]:
    def broken(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise TypeError("a mistake of moto's")

    started: list[Any] = []
    body = b"".join(with_failures_answered(broken)({**environ}, lambda *given: started.append(given)))
    ((status, headers),) = started
    assert dict(headers)["Content-Length"] == str(len(body))
    return status, dict(headers), body


@pytest.mark.parametrize("operation", ["DescribeMapRun", "UpdateMapRun"])
def test_a_map_run_that_is_not_there(operation: str) -> None:
    status, headers, body = asked(HTTP_X_AMZ_TARGET=f"AWSStepFunctions.{operation}")
    assert status.startswith("400 ")
    assert headers["x-amzn-ErrorType"] == json.loads(body)["__type"] == "ResourceNotFound"


def test_whatever_else_breaks_is_an_error_of_aws_that_clients_do_not_repeat() -> None:
    status, headers, body = asked(HTTP_X_AMZ_TARGET="Logs_20140328.Whatever")
    assert (status, headers["Content-Type"]) == ("501 Not Implemented", "application/x-amz-json-1.0")
    assert json.loads(body)["message"] == "Logs_20140328.Whatever is not answered here: TypeError"
    status, _, body = asked(REQUEST_METHOD="GET", PATH_INFO="/bucket/<key>")
    assert status == "501 Not Implemented"
    assert ElementTree.fromstring(body).findtext("Message") == "GET /bucket/<key> is not answered here: TypeError"


def test_a_page_of_html_is_no_answer_of_lambda() -> None:
    def lacking(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("404 NOT FOUND", [("Content-Type", "text/html; charset=utf-8")])
        return [b"<!doctype html>"]

    started: list[Any] = []
    app = with_failures_answered(lacking)
    path = "/2016-08-19/account-settings"
    body = b"".join(app({"REQUEST_METHOD": "GET", "PATH_INFO": path}, lambda *given: started.append(given)))
    assert json.loads(body)["message"] == f"GET {path} is not answered here: NotImplementedError"
    assert started[0][0] == "501 Not Implemented"
    started.clear()
    assert app({"PATH_INFO": "/bucket/key"}, lambda *given: started.append(given)) == [b"<!doctype html>"]
    assert started[0][0] == "404 NOT FOUND"  # S3's own pages pass
