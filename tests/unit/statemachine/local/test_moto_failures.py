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
