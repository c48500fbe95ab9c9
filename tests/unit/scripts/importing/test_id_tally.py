import numpy as np
import pytest

from scripts.importing.id_tally import IdTally

LEAST = np.iinfo(np.int64).min
BIG = 1237648720693755970


def told(*pieces: np.ndarray) -> list[str]:
    tally = IdTally("objid")
    for piece in pieces:
        tally.add(piece)
    return tally.lines()


def test_ids_that_differ_are_not_spoken_of():
    assert told(np.array([BIG, BIG + 1]), np.array([BIG + 2])) == []
    assert told(np.array([b"a", b"b"]), np.array([b"long"])) == []


@pytest.mark.parametrize(
    ("pieces", "count", "example"),
    [
        ([np.array([1, BIG]), np.array([BIG, 2, BIG])], 2, str(BIG)),
        ([np.array([LEAST, 7, LEAST]), np.array([7])], 1, "7"),  # the least is what an import writes for a missing one
        ([np.array([-128, -128, 5, 5], np.int8)], 1, "5"),
        ([np.array([255, 255, 5], np.uint8)], 1, "255"),
        ([np.array([2**64 - 1, 5, 2**64 - 1, 5], np.uint64)], 1, "5"),
        ([np.array([b"A1 ", b"B"]), np.array([b"A1", "é".encode()])], 1, "A1"),
        ([np.array([np.nan, 1.5, np.nan, 1.5])], 1, "1.5"),
        ([np.array([True, False, True])], 1, "True"),
    ],
)
def test_repeated_ids_are_counted_over_all_pieces(pieces, count: int, example: str):
    total = sum(map(len, pieces))
    assert told(*pieces) == [
        f"{count} of {total} galaxies: objid is that of an earlier galaxy, as {example} is, so that cosmicai results "
        "--catalogue needs --repeats first"
    ]


def test_texts_that_are_empty_are_counted_and_do_not_repeat_one_another():
    assert told(np.array([b"a", b"", b"  "])) == ["2 of 3 galaxies: objid is empty, so that no catalogue has them"]
