"""Which columns a table of predictions has, so that a file of several tables can begin before all of them are read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from lambda_image.data.columns import MAX_COLUMNS, common_dtype
from lambda_image.data.sizes import BANDS, magnitude_columns

if TYPE_CHECKING:
    from arro3.core import Schema


TEXT = "SU"  # numpy's kinds of it


@dataclass(frozen=True)
class UserColumn:
    """The type of a column of the user, and whether values are missing in it."""

    dtype: np.dtype
    missing: bool


@dataclass(frozen=True)
class TableShape:
    """Describes a table.

    Attributes:
        rows: how many it has.
        magnitudes: how many there are of a galaxy.
        errors: whether there is a column `redshift_err`.
        columns: those of the user, by name.
    """

    rows: int = 0
    magnitudes: int = len(BANDS)
    errors: bool = False
    columns: Mapping[str, UserColumn] = field(default_factory=dict)

    @classmethod
    def joined(cls, shapes: "Iterable[TableShape]") -> "TableShape":
        """Describes tables one after another.

        The result has every column that some table has. Where the types of a column differ, it gets the smallest type
        of the same kind that holds all values, or else their text.
        """
        rows, errors = 0, False
        magnitudes: int | None = None  # of the first table, until there is one with rows
        given: dict[str, tuple[int, bool, set[np.dtype]]] = {}  # rows in which it is known, and its types
        for shape in shapes:
            if magnitudes is None or (shape.rows and not rows):
                magnitudes = shape.magnitudes
            rows, errors = rows + shape.rows, errors or shape.errors
            for name, column in shape.columns.items():
                known, missing, dtypes = given.get(name, (0, False, set()))
                given[name] = (known + shape.rows, missing or column.missing, dtypes | {column.dtype})
        columns = {
            name: UserColumn(common_dtype(dtypes), missing or known < rows)
            for name, (known, missing, dtypes) in given.items()
        }
        return cls(rows, len(BANDS) if magnitudes is None else magnitudes, errors, columns)

    def schema(self) -> "Schema":
        """Gives Arrow's description of the same columns, in the order that they have in a file."""
        from arro3.core import DataType, Field, Schema

        types: dict[str, Any] = {"source": DataType.string(), "row": DataType.int64()}
        types |= {name: _arrow_type(column.dtype) for name, column in self.columns.items()}
        types |= dict.fromkeys(magnitude_columns(self.magnitudes), DataType.float32())
        redshifts = ("redshift", "redshift_err", "redshift_true") if self.errors else ("redshift", "redshift_true")
        types |= dict.fromkeys(redshifts, DataType.float32())
        types["quality"] = DataType.int32()
        return Schema([Field(name, kind, nullable=True) for name, kind in types.items()])

    def names(self) -> tuple[str, ...]:
        """Names the columns with the types that files of them have, by which two shapes can be compared."""
        texts = {name: "S" if column.dtype.kind in TEXT else column.dtype.str for name, column in self.columns.items()}
        return (*(f"{name} {kind}" for name, kind in texts.items()), f"{self.magnitudes} {self.errors}")

    def to_json(self) -> dict[str, Any]:
        """Gives the description as a record has it."""
        columns = [{"name": n, "type": c.dtype.str, "missing": c.missing} for n, c in self.columns.items()]
        return {"rows": self.rows, "magnitudes": self.magnitudes, "errors": self.errors, "columns": columns}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "TableShape":
        """Reads what `to_json` gives.

        Raises:
            ValueError: it is anything else.
        """
        try:
            columns = _columns(tuple((str(c["name"]), str(c["type"]), bool(c["missing"])) for c in content["columns"]))
            rows, magnitudes = int(content["rows"]), int(content["magnitudes"])
            if rows < 0 or not 0 <= magnitudes <= 9999 or len(columns) > MAX_COLUMNS:
                raise ValueError(f"{rows} rows, {magnitudes} magnitudes, {len(columns)} columns")
            return cls(rows, magnitudes, bool(content["errors"]), columns)
        except (LookupError, TypeError, ValueError) as error:
            raise ValueError(f"not the shape of a table: {error}") from error


@lru_cache(maxsize=64)  # tables of one run have the same columns, and there are thousands
def _columns(told: tuple[tuple[str, str, bool], ...]) -> Mapping[str, UserColumn]:
    return {name: UserColumn(_dtype(kind), missing) for name, kind, missing in told}


def _dtype(text: str) -> np.dtype:
    dtype = np.dtype(text)
    if dtype.kind not in "biuf" + TEXT or dtype.itemsize > 1 << 16:
        raise ValueError(f"no type of a column: {text}")
    return dtype


def _arrow_type(dtype: np.dtype) -> Any:
    from arro3.core import Array, DataType

    return DataType.string() if dtype.kind in TEXT else Array.from_numpy(np.empty(0, dtype)).type
