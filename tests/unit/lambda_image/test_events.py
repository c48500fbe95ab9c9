import json

import pytest

from lambda_image.address import Address
from lambda_image.errors import InvalidEvent
from lambda_image.events import parse
from lambda_image.partition_names import printable

MINIMAL = {"bucket": "b", "data_prefix": "100MB"}


def test_defaults():
    request = parse(MINIMAL, "run-1")
    assert (request.run_id, request.execution) == ("run-1", "run-1")
    assert (request.bucket, request.data_bucket, request.data_prefix) == ("b", "b", "100MB")
    assert request.data_path is None
    assert request.result_path == "results/run-1"
    assert (request.world_size, request.file_limit, request.batch_size) == (None, None, 512)
    assert (request.tolerated_failures, request.gather_timeout_s) == (0, 60.0)
    assert request.fmi_enabled is False
    assert (request.on_bad_row, request.deal) == ("flag", None)
    assert request.warnings == ()


def test_the_run_is_called_as_its_execution():
    request = parse(MINIMAL, "arn:aws:states:us-east-1:123456789012:execution:redshift:nightly")
    assert (request.run_id, request.result_path) == ("nightly", "results/nightly")


def test_sockets_are_used_where_a_rendezvous_server_is_known():
    endpoint = Address("rendezvous.example.org", 10000)
    assert parse(MINIMAL, "r", endpoint).fmi_enabled
    assert parse({**MINIMAL, "fmi_enabled": "false"}, "r", endpoint).fmi_enabled is False
    given = parse({**MINIMAL, "rendezvous_endpoint": "[::1]:77"}, "r", endpoint)
    assert given.rendezvous_endpoint == Address("::1", 77)


def test_numbers_may_be_strings_and_keys_may_have_slashes():
    request = parse({**MINIMAL, "world_size": "7", "gather_timeout_s": "0", "result_path": "/a/b/"}, "r")
    assert (request.world_size, request.gather_timeout_s, request.result_path) == (7, 0.0, "a/b")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bucket": None}, ["bucket is missing"]),
        ({"bucket": 3}, ["bucket", "3"]),
        ({"data_prefix": None}, ["no data", "data_prefix", "data_path"]),
        ({"data_prefix": None, "data_size": "huge"}, ["data_size", "'huge'", "small, medium, large"]),
        ({"world_size": 0}, ["world_size", "0", "from 1 to 10000"]),
        ({"world_size": "four"}, ["world_size", "'four'", "from 1 to 10000"]),
        ({"world_size": 2.5}, ["world_size", "2.5"]),
        ({"world_size": True}, ["world_size", "True"]),
        ({"world_size": 10**400}, ["world_size", "from 1 to 10000"]),
        ({"batch_size": -1}, ["batch_size", "-1"]),
        ({"file_limit": "0"}, ["file_limit", "'0'"]),
        ({"tolerated_failures": -1}, ["tolerated_failures", "-1"]),
        ({"gather_timeout_s": "nan"}, ["gather_timeout_s", "'nan'", "0 to 840"]),
        ({"fmi_enabled": "perhaps"}, ["fmi_enabled", "'perhaps'", "true or false"]),
        ({"fmi_enabled": True}, ["fmi_enabled", "RENDEZVOUS_ENDPOINT"]),
        ({"rendezvous_endpoint": "host"}, ["rendezvous_endpoint", "'host'", "host:port"]),
        ({"rendezvous_endpoint": "host:99999"}, ["rendezvous_endpoint", "65535"]),
        ({"result_path": "a/../b"}, ["result_path", "'a/../b'"]),
        ({"warnings": "one"}, ["warnings", "'one'", "a list of at most 10 texts of one line"]),
        ({"warnings": ["a\nb"]}, ["warnings", "a list of at most 10 texts of one line"]),
        ({"warnings": ["x"] * 11}, ["warnings", "at most 10"]),
        ({"warnings": ["x" * 10_001]}, ["warnings", "10,000 characters"]),
        ({"deal": "rows"}, ["deal", "'rows'", "files, bytes"]),
        ({"result_path": "r" * 257}, ["result_path", "at most 256 bytes"]),
        ({"on_bad_row": "drop"}, ["on_bad_row", "'drop'", "flag, skip, fail"]),
        ({"on_bad_row": ["flag"]}, ["on_bad_row", "['flag']", "flag, skip, fail"]),
        ({"bucket_name": "other"}, ["bucket_name", "contradicts"]),
    ],
)
def test_a_wrong_value_is_refused_by_key_value_and_what_is_allowed(change, words):
    with pytest.raises(InvalidEvent) as raised:
        parse({**MINIMAL, **change}, "r")
    for word in words:
        assert word in str(raised.value)


def test_an_input_that_is_no_object_is_refused():
    with pytest.raises(InvalidEvent, match="list"):
        parse([1], "r")


def test_unknown_and_outlived_keys_are_named_in_warnings():
    warnings = parse({**MINIMAL, "script": "x.py", "colour": "red"}, "r").warnings
    assert any("script" in warning for warning in warnings)
    assert any("colour" in warning and "not a known key" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("event", "data_path"),
    [
        ({"data_path": "/tmp/scripts/a.pt"}, "scripts/a.pt"),
        ({"data_path": ".../a.pt", "data_size": "small"}, "datasets/small/a.pt"),
        ({"dataset_path": "sets/a.pt", "data_prefix": "100MB"}, "sets/a.pt"),
    ],
)
def test_one_dataset_object(event, data_path):
    request = parse({"bucket": "b", **event}, "r")
    assert (request.data_path, request.data_prefix) == (data_path, None)
    assert request.warnings


@pytest.mark.parametrize("root", ["", "/", " / "])
def test_an_empty_prefix_is_the_buckets_root_and_wins_over_what_was_left_in_the_input(root: str):
    left_over = {"data_path": "/tmp/x/resized_inference.pt", "data_size": "small"}
    request = parse({"bucket": "b", "data_prefix": root, **left_over}, "r")
    assert (request.data_prefix, request.data_path) == ("", None)
    assert request.warnings == (
        "data_size is ignored, because data_prefix says the bucket's root",
        "data_path is ignored, because data_prefix says the bucket's root",
    )


def test_null_is_no_prefix():
    assert parse({"bucket": "b", "data_prefix": None, "data_path": "a.pt"}, "r").data_path == "a.pt"


@pytest.mark.parametrize("key", ["bucket", "data_bucket", "data_prefix", "data_path", "result_path"])
@pytest.mark.parametrize("value", ["a\nb", "a\x1b[2Jb", "a\ud800b", "a\u2029b"])
def test_a_name_that_would_break_a_line_is_refused_in_one(key: str, value: str):
    with pytest.raises(InvalidEvent, match=f"^{key} is .*one line") as raised:
        parse({"bucket": "b", "data_path": "d", key: value}, "r")
    assert printable(raised.value) == str(raised.value)


def test_an_unknown_key_is_named_in_one_line():
    (warning,) = parse({**MINIMAL, "a\nb": 1}, "r").warnings
    assert warning == "a\\nb is not a known key and is ignored"


@pytest.mark.parametrize("path", ["/", "../a.pt", "/tmp/", "/tmp/../a.pt"])
def test_a_path_that_is_no_key_is_refused_as_any_other_value(path: str):
    with pytest.raises(InvalidEvent, match=r"data_path is .* allowed: "):
        parse({"bucket": "b", "data_path": path}, "r")


def test_warnings_of_the_input_come_before_those_about_it():
    request = parse({**MINIMAL, "warnings": ["1 folder (x/) is not read"], "data_map": "m"}, "r")
    assert request.warnings[0] == "1 folder (x/) is not read"
    assert request.warnings[1].startswith("data_map is ignored, because ")
    assert parse({**MINIMAL, "warnings": []}, "r").warnings == ()


@pytest.mark.parametrize("value", ["flag", "skip", "fail"])
def test_what_is_done_about_bad_rows(value: str):
    assert parse({**MINIMAL, "on_bad_row": value}, "r").on_bad_row == value


def test_a_file_limit_means_nothing_for_one_dataset():
    (warning,) = parse({"bucket": "b", "data_path": "a.pt", "file_limit": 3}, "r").warnings
    assert "file_limit is ignored" in warning


def test_an_elided_path_needs_a_prefix():
    with pytest.raises(InvalidEvent, match="stands for data_prefix"):
        parse({"bucket": "b", "data_path": ".../a.pt"}, "r")


# What the inputs that people already use mean, by file name.
PAYLOADS = {
    "demo_input": {
        "bucket": "cosmicai-data",
        "data_bucket": "cosmicai-data",
        "data_prefix": "100MB",
        "file_limit": 11,
        "batch_size": 512,
        "world_size": None,
        "result_path": "result-partition-100MB/1GB/1",
    },
    "fall2024_team1": {"world_size": 2, "data_path": "scripts/Anomaly Detection/Inference/resized_inference.pt"},
    "group2_step1": {
        "world_size": 4,
        "batch_size": 128,
        "data_prefix": "datasets",
        "fmi_enabled": True,
        "rendezvous_endpoint": Address("rendezvous.uva-ds5110.com", 10000),
    },
    "group2_step2": {"world_size": 4, "data_prefix": "datasets/medium", "result_path": "results/world_4"},
    "group2_step4": {
        "bucket": "team2-cosmical-7078ea12",
        "world_size": 2,
        "batch_size": 32,
        "data_path": "datasets/small/inference_subset.pt",
        "model_path": "datasets/small/Mixed_Inception_z_VITAE_Base.pt",
        "model_bucket": "team2-cosmical-7078ea12",
    },
}
MEANT_SOMETHING_ONCE = {
    "script",
    "S3_object_name",
    "object_type",
    "inference_script",
    "data_map",
    "unique_id",
}


def test_every_payload_in_use_is_known(shared):
    assert {path.stem for path in (shared / "payloads").glob("*.json")} == set(PAYLOADS)


@pytest.mark.parametrize("name", PAYLOADS)
def test_payloads_in_use(shared, name):
    event = json.loads((shared / "payloads" / f"{name}.json").read_text())
    request = parse(event, "r")
    assert {key: getattr(request, key) for key in PAYLOADS[name]} == PAYLOADS[name]
    for key in event.keys() & MEANT_SOMETHING_ONCE:
        assert any(warning.startswith(f"{key} is ignored") for warning in request.warnings), key


@pytest.mark.parametrize(
    ("given", "bucket", "key"),
    [
        ({}, "b", None),
        ({"model_path": "models/mine.pt"}, "b", "models/mine.pt"),
        ({"model_path": "s3://other/models/mine.pt"}, "other", "models/mine.pt"),
        ({"model_path": "/tmp/scripts/mine.pt"}, "b", "scripts/mine.pt"),
        ({"model_path": ".../mine.pt"}, "data", "d/mine.pt"),
        ({"model_path": ".../mine.pt", "data_prefix": ""}, "data", "mine.pt"),
    ],
)
def test_the_weights_of_a_run_lie_beside_its_results_unless_the_path_says_otherwise(given, bucket, key):
    request = parse({"bucket": "b", "data_bucket": "data", "data_prefix": "d", **given}, "r")
    assert (request.model_bucket, request.model_path) == (bucket, key)


@pytest.mark.parametrize("path", ["s3://bucket", "s3://b/../x", 7, "a\nb"])
def test_a_model_path_that_names_no_object_is_refused(path: object):
    with pytest.raises(InvalidEvent, match="model_path is"):
        parse({"bucket": "b", "data_prefix": "d", "model_path": path}, "r")
