"""Spark opens the predictions of a large run as one table. It is no dependency, and tried where it is installed."""

import shutil
from pathlib import Path

import pytest

from tests.unit.lambda_image.handlers.test_run_tables import published


@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java, which is not installed")
def test_the_folder_opens_as_one_table(tmp_path: Path):
    sql = pytest.importorskip("pyspark.sql", reason="Spark is not installed: pip install pyspark")
    published(tmp_path)
    with sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate() as spark:
        rows = spark.read.parquet(str(tmp_path)).orderBy("source", "row").select("id").collect()
    assert [row.id for row in rows if row.id is not None] == [0, 1, 2, 3, 0, 1, 2, 3]
