from pathlib import Path

from scripts.bench.scale.rank_server import WrittenObjects


def test_only_what_was_written_is_there(tmp_path: Path):
    objects = WrittenObjects(tmp_path)
    assert objects.find("r/0.json") is None
    objects.file("r/0.json").write_bytes(b"{}")
    assert objects.find("r/0.json") == b"{}"
    assert list(objects.listed("r/attempts/0/")) == []
