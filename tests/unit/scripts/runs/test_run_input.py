import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from lambda_image.data.partition import write_partition
from lambda_image.errors import InvalidEvent, PartitionMissing, UsageError
from scripts.aws_endpoint import AwsEndpoint
from scripts.galaxies import Mixture, render
from scripts.runs import run_input
from scripts.runs.place import Place
from scripts.runs.run_input import check, judge, read
from scripts.stack.account import AccountError
from tests.unit.scripts.flags import parsed
from tests.unit.scripts.runs.conftest import BUCKET

ARN = "arn:aws:states:us-east-1:123456789012:execution:m:mine"
PAYLOADS = Path(__file__).parents[5] / "shared" / "payloads"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    given = {"bucket_name": "theirs", "data_size": "small", "dataset_path": ".../s.pt", "world_size": "2"}
    (tmp_path / "input.json").write_text(json.dumps(given))
    return tmp_path / "input.json"


def test_flags_alone_are_an_input():
    given = read(
        parsed(run_input, "--data-prefix", "p", "--world-size", 8, "--set", "gather_timeout_s=30", "--set", "x=a=b")
    )
    assert given == {"data_prefix": "p", "world_size": 8, "gather_timeout_s": "30", "x": "a=b"}
    assert read(parsed(run_input)) == {}


def test_a_file_is_an_input_and_flags_change_it(file: Path, monkeypatch: pytest.MonkeyPatch):
    found = json.loads(file.read_text())
    assert read(parsed(run_input, file)) == read(parsed(run_input, "--input", file)) == found
    assert read(parsed(run_input, file, "--world-size", 8))["world_size"] == 8
    assert read(parsed(run_input, file, "--bucket", "mine")) == {
        "bucket": "mine",
        **{key: value for key, value in found.items() if key != "bucket_name"},
    }
    # Data that a flag names takes the place of all that the file says of data.
    assert read(parsed(run_input, file, "--data-prefix", "p")) == {
        "bucket_name": "theirs",
        "world_size": "2",
        "data_prefix": "p",
    }
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    assert read(parsed(run_input, "--input", "-")) == found


def test_two_files_are_one_too_many(file: Path):
    with pytest.raises(UsageError, match="are two execution inputs: give one of them"):
        read(parsed(run_input, file, "--input", file))
    with pytest.raises(UsageError, match="--set is 'x'; allowed: KEY=VALUE"):
        read(parsed(run_input, "--set", "x"))


@pytest.mark.parametrize("text", ["{", "[]", '"text"', "[" * 100_000])
def test_what_is_no_input_is_refused_by_name(text: str, tmp_path: Path):
    (tmp_path / "input.json").write_text(text)
    with pytest.raises(InvalidEvent, match=r"input\.json is not"):
        read(parsed(run_input, tmp_path / "input.json"))


def at(place: Place, given: dict[str, Any], init: dict[str, Any] | None = None) -> tuple[Any, list[str]]:
    notes: list[str] = []
    return judge(place, {"bucket": BUCKET, **given}, ARN, init or {}, notes.append), notes


def upload(place: Place, folder: Path, key: str, rows: int) -> None:
    import numpy as np

    rng = np.random.default_rng(1)
    magnitudes, redshifts = Mixture.shipped().draw(rows, rng)
    write_partition(folder / "part.safetensors", render(magnitudes, rng), magnitudes, redshifts)
    place.client("s3").upload_file(str(folder / "part.safetensors"), BUCKET, key)


def test_data_is_looked_up_as_init_looks_it_up(place: Place, tmp_path: Path):
    for key in ("p/1.safetensors", "p/3.safetensors", "p/notes.txt"):
        upload(place, tmp_path, key, 4)
    judged, notes = at(place, {"data_prefix": "p", "script": "x.py"})
    assert (judged.world_size, judged.totals) == (2, None)
    assert any("script is ignored" in note for note in notes)
    assert any("1 file of another kind (notes.txt)" in note for note in notes)
    assert any("2 is missing between 1 and 3" in note for note in notes)
    judged, notes = at(place, {"data_path": "p/1.safetensors", "world_size": "3"})
    assert (judged.world_size, judged.totals, notes) == (3, [2, 1, 1], [])


def test_what_init_would_refuse_is_refused_before_anything_starts(place: Place):
    with pytest.raises(InvalidEvent, match="world_size is 'many'; allowed"):
        at(place, {"data_prefix": "p", "world_size": "many"})
    with pytest.raises(PartitionMissing, match="s3://cosmic/nothing/"):
        at(place, {"data_prefix": "nothing"})
    with pytest.raises(AccountError, match="there is no bucket nowhere: create it, or name another by --bucket"):
        at(place, {"data_prefix": "p", "bucket": "nowhere"})
    with pytest.raises(AccountError, match="'a b' is not a bucket's name"):
        at(place, {"data_prefix": "p", "bucket": "a b"})
    with pytest.raises(InvalidEvent, match="there is no bucket nowhere"):
        at(place, {"data_prefix": "p", "data_bucket": "nowhere"})


def test_a_rendezvous_server_that_only_init_knows_is_one(place: Place):
    given = {"bucket": BUCKET, "data_prefix": "p", "fmi_enabled": True}
    with pytest.raises(InvalidEvent, match="no rendezvous server is known"):
        check(place, given, ARN, {})
    init = {"Environment": {"Variables": {"RENDEZVOUS_ENDPOINT": "nlb:10000"}}}
    assert str(check(place, given, ARN, init).rendezvous_endpoint) == "nlb:10000"
    local = Place("local", place.client, "us-east-1", "arn:m", BUCKET, local=AwsEndpoint("http://127.0.0.1:1"))
    assert check(local, given, ARN, {}).fmi_enabled


class Closed:
    """An S3 that shows the bucket of the results and denies that of the data."""

    def __init__(self, s3: Any) -> None:
        self._s3 = s3

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)

    def list_objects_v2(self, **_: str) -> None:
        from botocore.exceptions import ClientError

        raise ClientError({"Error": {"Code": "AccessDenied"}}, "ListObjectsV2")


def test_data_that_only_the_functions_may_read_is_left_to_them(place: Place):
    closed = Place("m", lambda service: Closed(place.client("s3")), "us-east-1", "arn:m", BUCKET)
    judged, notes = at(closed, {"data_prefix": "p", "data_bucket": "of-others", "world_size": 4})
    assert (judged.world_size, judged.totals) == (4, None)
    [note] = notes
    assert note.startswith(
        "the data cannot be looked at from here; the run may be allowed to (access to s3://of-others/"
    )


def test_weights_of_the_run_have_to_be_there(place: Place, tmp_path: Path):
    upload(place, tmp_path, "p/1.safetensors", 4)
    with pytest.raises(InvalidEvent, match=r"s3://cosmic/mine\.safetensors, which model_path names, does not exist"):
        at(place, {"data_prefix": "p", "model_path": "mine.safetensors"})
    place.client("s3").put_object(Bucket=BUCKET, Key="mine.safetensors", Body=b"")
    assert at(place, {"data_prefix": "p", "model_path": "mine.safetensors"})[0].world_size == 1


def test_how_many_ranks_the_stack_runs_at_a_time_is_known_to_init(place: Place):
    given = {"bucket": BUCKET, "data_prefix": "p"}
    init = {"Environment": {"Variables": {"MAX_CONCURRENCY": "50"}}}
    assert check(place, given, ARN, init).max_concurrency == 50
    assert check(place, {**given, "max_concurrency": 5}, ARN, init).max_concurrency == 5
    assert check(place, given, ARN, {"Environment": {"Variables": {"MAX_CONCURRENCY": ""}}}).max_concurrency is None


@pytest.mark.parametrize("payload", ["demo_input", "fall2024_team1", "group2_step1", "group2_step2", "group2_step4"])
def test_inputs_that_people_have_are_understood(payload: str, place: Place):
    file = PAYLOADS / f"{payload}.json"
    if not file.exists():
        pytest.skip(f"{file} is not here")
    request = check(place, read(parsed(run_input, "--input", file)), ARN, {})
    assert request.bucket
    assert (request.data_prefix is None) != (request.data_path is None)
