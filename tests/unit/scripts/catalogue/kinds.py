"""A catalogue that has every type of column, at its limits and with gaps."""

import numpy as np
import pyarrow as pa

from scripts.catalogue.table import Catalogue, Meaning

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def every_kind() -> Catalogue:
    columns: dict[str, pa.Array] = {}
    for name in INTEGERS:
        limits, kind = np.iinfo(name), pa.type_for_alias(name)
        columns[name] = pa.array([int(limits.min), 1, int(limits.max)], kind)
        columns[f"{name}_gap"] = pa.array([int(limits.min), None, int(limits.max)], kind)
    for name in ("float32", "float64"):
        columns[name] = pa.array([0.1, float("inf"), float("-inf")], pa.type_for_alias(name))
        columns[f"{name}_gap"] = pa.array([0.1, None, float("nan")], pa.type_for_alias(name))
    columns["bool"], columns["bool_gap"] = pa.array([True, False, True]), pa.array([True, None, False])
    columns["text"], columns["text_gap"] = pa.array(['a,"b"', "<&>\x01", "x\ny"]), pa.array(["", None, "abc"])
    columns["letters"] = pa.array(["é", "日本", "a"])
    for name in ("float32", "int32", "uint16"):
        flat = pa.array(np.arange(6, dtype=name))
        columns[f"{name}_pair"] = pa.FixedSizeListArray.from_arrays(flat, 2)
    meanings = {"float32": Meaning("mag", "phot.mag;em.opt.U", "A magnitude"), "text": Meaning("nmgy", "", "")}
    return Catalogue(pa.table(columns), meanings, "Everything & more.")
