"""Redshift distributions as a table, `quantiles/<rank>.parquet`."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lambda_image.data.arrow import encode_values, repeated_texts
from lambda_image.data.distributions import NAMES, Quantiles
from lambda_image.data.predictions import Predictions
from lambda_image.data.table_file import write_batches

if TYPE_CHECKING:
    from arro3.core import RecordBatch


def write_distributions_table(
    file: Any, described: Iterable[tuple[Predictions, NDArray[np.float32], Quantiles]]
) -> None:
    """Writes redshift distributions as a Parquet file with the columns `source`, `row`, `z_mode`, `q0.001` to `q0.999`.

    Args:
        file: takes the bytes by `write`, which must not raise.
        described: one after another, the predictions [N], where p(z) is highest [N], and the quantiles [N, 11]. NaN is
            written as null.

    Raises:
        Exception: whatever `described` raises.
    """
    from arro3.core import DataType, Field, RecordBatch, Schema

    types = {"source": DataType.string(), "row": DataType.int64()}
    types |= dict.fromkeys(("z_mode", *NAMES), DataType.float32())
    schema = Schema([Field(name, kind, nullable=True) for name, kind in types.items()])

    def batches() -> "Iterator[RecordBatch]":
        for table, modes, quantiles in described:
            columns = [repeated_texts(table.source), _numbers(table.row)]
            for values in (modes, *quantiles.T):
                values = np.ascontiguousarray(values, np.float32)
                columns.append(encode_values(values, np.isnan(values)))
            yield RecordBatch.from_arrays(columns, schema=schema)

    write_batches(file, schema, batches())


def _numbers(values: NDArray[np.int64]) -> Any:
    from arro3.core import Array

    return Array.from_numpy(np.ascontiguousarray(values))
