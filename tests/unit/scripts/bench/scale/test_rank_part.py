import json
from pathlib import Path

import numpy as np
import pytest

from lambda_image.data.distribution_table import write_distributions_table
from lambda_image.data.distributions import NAMES
from lambda_image.data.predictions import Predictions
from lambda_image.manifest import Assignment, predictions_key, quantiles_key, result_key
from lambda_image.rank_table import RankTable
from scripts.bench.errors import BenchmarkError
from scripts.bench.scale.rank_part import check_written, item_of
from scripts.bench.scale.rank_server import WrittenObjects
from scripts.bench.scale.run_server import PATH

ROWS = 10_000
GALAXIES = ROWS + 5


def tables(rows: int = GALAXIES) -> list[Predictions]:
    item, found, left = Assignment.from_json(item_of(GALAXIES, ROWS)), [], rows
    for part in item.partitions:
        count = min(left, ROWS if part.rows is None else part.rows[1])
        found.append(Predictions.of_partition(part.key, 0, np.zeros((count, 5)), np.zeros(count), None))
        left -= count
    return found


def written(folder: Path, predictions: list[Predictions], quantiles: list[Predictions]) -> WrittenObjects:
    objects, key = WrittenObjects(folder), predictions_key(PATH, 0)
    table = RankTable.of(predictions)
    objects.file(key).write_bytes(table.content)
    objects.file(result_key(PATH, 0)).write_text(json.dumps({"predictions": table.facts(key)}))
    with objects.file(quantiles_key(PATH, 0)).open("wb") as file:
        none = ((one, np.zeros(len(one)), np.zeros((len(one), len(NAMES)))) for one in quantiles)
        write_distributions_table(file, none)
    return objects


def test_the_partitions_of_the_item_have_as_many_galaxies_as_are_asked_for():
    item = Assignment.from_json(item_of(GALAXIES, ROWS))
    assert [part.rows for part in item.partitions] == [None, (0, 5)]
    assert len(Assignment.from_json(item_of(2 * ROWS, ROWS)).partitions) == 2


def test_what_a_rank_wrote_must_be_whole_and_in_order(tmp_path: Path):
    assert check_written(written(tmp_path, tables(), tables()), GALAXIES, ROWS) > 0
    for predictions, quantiles, wrong in (
        (tables(ROWS), tables(), "10,000 of 10,005"),
        (tables()[::-1], tables(), "has other rows"),
        (tables(), tables()[:1], "10,000 of 10,005"),
    ):
        with pytest.raises(BenchmarkError, match=wrong):
            check_written(written(tmp_path, predictions, quantiles), GALAXIES, ROWS)


def test_the_record_must_name_the_table(tmp_path: Path):
    objects = written(tmp_path, tables(), tables())
    file = objects.file(predictions_key(PATH, 0))
    file.write_bytes(file.read_bytes() + b"?")
    with pytest.raises(BenchmarkError, match="is not the one"):
        check_written(objects, GALAXIES, ROWS)
    objects.file(result_key(PATH, 0)).unlink()
    with pytest.raises(BenchmarkError, match="no record"):
        check_written(objects, GALAXIES, ROWS)
