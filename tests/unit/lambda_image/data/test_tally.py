import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.data.quality import UNPREDICTABLE
from lambda_image.data.tally import RowTally

PARTS = st.lists(st.lists(st.integers(0, 63), max_size=20), max_size=5)


@given(PARTS, st.booleans())
def test_no_row_is_lost_or_invented(parts, skip):
    tally = RowTally()
    for number, flags in enumerate(parts):
        tally.add(str(number), np.arange(len(flags)), np.array(flags, np.int32), skip=skip)
    every = [flag for flags in parts for flag in flags]
    assert tally.given == len(every) == tally.predicted + tally.flagged + tally.skipped
    assert tally.predicted == sum(not flag & UNPREDICTABLE for flag in every)
    assert (tally.flagged if skip else tally.skipped) == 0


@given(PARTS, PARTS)
def test_ranks_merge_to_what_one_rank_counts(some, others):
    def of(parts, start):
        tally = RowTally()
        for number, flags in enumerate(parts, start):
            tally.add(str(number), np.arange(len(flags)), np.array(flags, np.int32), skip=False)
        return tally

    merged = of(some, 0)
    merged.merge(RowTally.from_json(json.loads(json.dumps(of(others, len(some)).to_json()))))
    whole = of(some + others, 0)
    assert {name: count for name, count in merged.flags.items() if count} == {
        name: count for name, count in whole.flags.items() if count
    }
    assert (merged.given, merged.predicted, merged.flagged) == (whole.given, whole.predicted, whole.flagged)
    assert merged.first == whole.first


def test_the_first_row_of_each_flag_is_remembered_by_its_number_in_the_original():
    tally = RowTally()
    tally.add("a", np.array([70, 71]), np.array([0, 4], np.int32), skip=True)
    tally.add("b", np.array([5, 6]), np.array([4, 1], np.int32), skip=True)
    assert tally.first == {"magnitude_bad": ("a", 71), "image_not_finite": ("b", 6)}
