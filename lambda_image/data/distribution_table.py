"""Redshift distributions as a table, `quantiles/<rank>.parquet`."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_image.data.arrow import encode_values, repeated_texts
from lambda_image.data.distributions import NAMES, Quantiles
from lambda_image.data.predictions import Predictions


def distributions_to_parquet(table: Predictions, modes: NDArray[np.float32], quantiles: Quantiles) -> bytes:
    """Encodes redshift distributions, in the order of the predictions that they belong to.

    Args:
        table: the predictions [N].
        modes: float32 [N], where p(z) is highest.
        quantiles: float32 [N, 11]. NaN is written as null.

    Returns:
        A Parquet file with the columns `source`, `row`, `z_mode`, and `q0.001` to `q0.999`.
    """
    from arro3.core import Array, Table
    from arro3.io import write_parquet

    columns: dict[str, Any] = {"source": repeated_texts(table.source), "row": Array.from_numpy(table.row)}
    for name, values in (("z_mode", modes), *zip(NAMES, quantiles.T, strict=True)):
        values = np.ascontiguousarray(values, np.float32)
        columns[name] = encode_values(values, np.isnan(values))
    buffer = io.BytesIO()
    write_parquet(Table.from_pydict(columns), buffer)
    return buffer.getvalue()
