from pathlib import Path

import pytest

from lambda_image.errors import UsageError
from scripts.cli import main
from scripts.runs.place import Place
from scripts.upload import UploadLines, destination

PLACE = Place("the stack m", lambda service: None, "us-east-1", "arn:m", "mine")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, ("mine", "datasets/galaxies")),
        ("survey/dr9/", ("mine", "survey/dr9")),
        ("s3://theirs/survey/dr9", ("theirs", "survey/dr9")),
    ],
)
def test_galaxies_go_where_the_user_says_or_under_the_name_of_the_data(given: str | None, expected: tuple[str, str]):
    assert destination(given, Path("folder/galaxies.pt"), PLACE) == expected


@pytest.mark.parametrize("given", ["", "/", "a/../b", "s3://theirs", "s3://theirs/", "a\nb"])
def test_what_is_no_prefix_is_refused(given: str):
    with pytest.raises(UsageError, match="allowed: an S3 prefix of one line"):
        destination(given, Path("galaxies.pt"), PLACE)


def test_where_the_bucket_is_unknown_it_has_to_be_named():
    unseen = Place("the stack m", lambda service: None, "us-east-1", "arn:m", None)
    with pytest.raises(UsageError, match="the bucket of the stack m is unknown: name it as s3://BUCKET/PREFIX"):
        destination("p", Path("galaxies.pt"), unseen)
    assert destination("s3://mine/p", Path("galaxies.pt"), unseen) == ("mine", "p")


@pytest.mark.parametrize("size", ["0", "-1", "nan", "inf"])
def test_a_size_that_is_none_is_refused_before_anybody_is_asked(size: str, tmp_path: Path, capsys):
    (tmp_path / "g.pt").touch()
    assert main(["upload", str(tmp_path / "g.pt"), "--size-mb", size, "--endpoint-url", "http://127.0.0.1:9"]) == 2
    assert "--size-mb is" in capsys.readouterr().err


def test_what_is_no_dataset_is_refused_before_anybody_is_asked(tmp_path: Path, capsys):
    (tmp_path / "galaxies.fits").write_bytes(b"SIMPLE  =                    T" + b" " * 2850)
    assert main(["upload", str(tmp_path / "galaxies.fits"), "--endpoint-url", "http://127.0.0.1:9"]) == 1
    assert "cosmicai import" in capsys.readouterr().err


def test_how_far_it_is_is_told_at_the_end_at_the_latest(tmp_path: Path, capsys):
    files = [tmp_path / "1.pt", tmp_path / "2.pt"]
    for file in files:
        file.write_bytes(bytes(1_000_000))
    lines = UploadLines(files)
    for file in files:
        lines(file, 1_000_000)
    [told] = capsys.readouterr().out.splitlines()
    assert told.endswith("2 of 2 files, 2 of 2 MB")
