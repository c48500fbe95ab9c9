from pathlib import Path

from scripts.sweep.beside import FOLDER, infer_beside, local_results


def test_results_are_in_the_order_of_batch_sizes_and_are_not_measured_twice(tmp_path: Path):
    (tmp_path / FOLDER).mkdir()
    for size in (128, 2, 16):
        (tmp_path / FOLDER / f"{size}.json").touch()
    (tmp_path / FOLDER / ".4.json.99.partial").touch()
    assert [file.stem for file in local_results(tmp_path)] == ["2", "16", "128"]
    said: list[str] = []
    infer_beside(tmp_path, [16, 2, 16], said.append)
    assert said == []


def test_a_sweep_without_them_has_none(tmp_path: Path):
    assert local_results(tmp_path) == []
