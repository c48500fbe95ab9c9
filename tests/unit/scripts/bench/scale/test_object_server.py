from pathlib import Path

from botocore.parsers import create_parser
from botocore.session import get_session

from scripts.bench.scale.object_server import PREFIX, FolderObjects, NumberedKeys, page_of, size_of

SHAPE = get_session().get_service_model("s3").operation_model("ListObjectsV2").output_shape


def test_pages_lead_through_all_keys_in_the_order_of_s3():
    keys, found, after = NumberedKeys(1234), list[str](), ""
    while True:
        response = {"body": page_of(keys, after, most=500), "headers": {}, "status_code": 200}
        page = create_parser("rest-xml").parse(response, SHAPE)
        found += [entry["Key"] for entry in page["Contents"]]
        if not page["IsTruncated"]:
            break
        after = page["NextContinuationToken"]
    assert found == sorted(found) == keys[:]
    assert len(set(found)) == 1234
    assert page["Contents"][-1]["Size"] == size_of(1233)


def test_a_page_begins_behind_any_text():
    keys = NumberedKeys(100)
    assert b"part-042.pt" not in page_of(keys, f"{PREFIX}part-042.pt")
    assert b"part-042.pt" in page_of(keys, f"{PREFIX}part-04")
    assert b"<Contents>" not in page_of(keys, f"{PREFIX}q")


def test_what_is_put_has_a_file_of_its_own(tmp_path: Path):
    objects = FolderObjects({"objects": 1, "answer_s": 0, "folder": str(tmp_path)})
    assert len({objects.file(key) for key in ("/b/a", "/b/a/b", "/b/../a")}) == 3
    objects.count(puts=1, put_bytes=7)
    assert (objects.counts["puts"], objects.counts["put_bytes"]) == (1, 7)
