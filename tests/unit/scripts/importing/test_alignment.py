import numpy as np
import pytest

from lambda_image.data.file_content import Column
from lambda_image.errors import PartitionMalformed
from scripts.importing.alignment import check_lengths, check_order
from scripts.importing.contents import TEXT, Contents


def contents(**arrays: np.ndarray) -> Contents:
    """Arrays by name; two underscores stand for a dot."""
    columns = {
        name.replace("__", "."): Column(
            TEXT if values.dtype.kind == "S" else values.dtype.name,
            values.shape,
            lambda start, stop, values=values: values[start:stop],
        )
        for name, values in arrays.items()
    }
    return Contents("a.file", "test", columns)


IDS = np.arange(7) + 10**17


def test_arrays_of_other_lengths_are_refused_with_their_shape():
    held = contents(mag=np.zeros(7), z=np.zeros(9))
    check_lengths(held, ["mag"], 7)
    with pytest.raises(
        PartitionMalformed, match=r"a\.file has 7 galaxies, and another number of rows in z float64 \[9"
    ):
        check_lengths(held, ["mag", "z"], 7)


@pytest.mark.parametrize("step", [1, 3, 100])
def test_tables_whose_ids_differ_are_refused_by_the_first_row_that_does(step):
    swapped = IDS[[0, 1, 2, 3, 5, 4, 6]]
    for ids, others in ((IDS, swapped), (IDS.astype("S"), swapped.astype("S"))):
        held = contents(phot__objid=ids, phot__mag=np.zeros(7), spec__OBJID=others, spec__z=np.zeros(7))
        with pytest.raises(
            PartitionMalformed, match=r"another galaxy in row 4 of phot\.objid than of spec\.OBJID: join"
        ):
            check_order(held, ["phot.mag", "spec.z"], 7, step)


def test_tables_that_are_not_used_and_ids_of_other_names_do_not_count():
    held = contents(
        phot__objid=IDS,
        phot__mag=np.zeros(7),
        spec__specobjid=IDS[::-1],
        spec__z=np.zeros(7),
        tiles__objid=IDS[:3],
        other__objid=IDS[::-1],
        same__objid=IDS.astype(">i8"),
        same__ra=np.zeros(7),
    )
    check_order(held, ["phot.mag", "spec.z", "tiles.objid", "same.ra"], 7, 2)
