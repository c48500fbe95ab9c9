from typing import Any

import pytest
from botocore.parsers import create_parser
from botocore.session import get_session

from lambda_image.storage.list_page import EVENT, take_contents

SHAPE = get_session().get_service_model("s3").operation_model("ListObjectsV2").output_shape
SPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
FULL = f"""<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult{SPACE}><Name>b</Name><Prefix>d/</Prefix><MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated>
<EncodingType>url</EncodingType><NextContinuationToken>a+b/c=</NextContinuationToken>
<Contents><Key>d/1%20%2B.pt</Key><LastModified>2026-11-01T00:00:00.000Z</LastModified><ETag>&quot;0a&quot;</ETag>
<Size>30000000000</Size><StorageClass>STANDARD</StorageClass></Contents>
<Contents><Key>d/&lt;\u00e9&gt;.pt</Key><LastModified>2026-11-01T00:00:00.000Z</LastModified><ETag>"0b-7"</ETag>
<Size>0</Size></Contents><CommonPrefixes><Prefix>d/old/</Prefix></CommonPrefixes></ListBucketResult>"""


def parsed(body: str, status: int = 200) -> tuple[dict[str, Any], dict[str, Any]]:
    """What botocore reads alone, and what it reads with the handler before it."""
    answers = []
    for handlers in ([], [take_contents]):
        response: dict[str, Any] = {"body": body.encode(), "headers": {}, "status_code": status}
        beside: dict[str, Any] = {}
        for handler in handlers:
            handler(response_dict=response, customized_response_dict=beside, operation_model=None)
        answers.append(create_parser("rest-xml").parse(response, SHAPE) | beside)
    return answers[0], answers[1]


@pytest.mark.parametrize("body", [FULL, FULL.replace(SPACE, "")], ids=["in a namespace", "without one"])
def test_a_page_reads_as_botocore_reads_it(body: str):
    alone, quick = parsed(body)
    kept = ("Key", "Size", "ETag")
    assert quick["Contents"] == [{name: found[name] for name in kept} for found in alone["Contents"]]
    assert len(quick["Contents"]) == 2
    assert {**quick, "Contents": None} == {**alone, "Contents": None}


def test_an_empty_page_has_no_objects():
    _, quick = parsed(f"<ListBucketResult{SPACE}><IsTruncated>false</IsTruncated></ListBucketResult>")
    assert (quick["Contents"], quick["IsTruncated"]) == ([], False)


def test_a_refusal_is_left_to_botocore():
    alone, quick = parsed("<Error><Code>AccessDenied</Code><Message>no</Message></Error>", 403)
    assert quick == alone
    assert quick["Error"]["Code"] == "AccessDenied"


def test_what_is_no_page_is_left_to_botocore():
    body = {"body": b"<cut", "headers": {}, "status_code": 200}
    take_contents(response_dict=body, customized_response_dict={})
    assert body["body"] == b"<cut"


def test_the_client_of_the_process_reads_pages_so(store, client):
    client.meta.events.register(EVENT, take_contents)
    try:
        for name in ("page/1 +é.pt", "page/2.pt"):
            store.put(name, b"12")
        assert [(found.key, found.size) for found in store.list("page/")] == [("page/1 +é.pt", 2), ("page/2.pt", 2)]
    finally:
        client.meta.events.unregister(EVENT, take_contents)
