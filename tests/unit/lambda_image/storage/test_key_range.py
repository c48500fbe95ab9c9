from hypothesis import given
from hypothesis import strategies as st

from lambda_image.storage.key_range import KeyRange, SeenNames

TEXTS = st.text("019afz-_é😀\U0010ffff", max_size=4)


def seen(*names: str) -> SeenNames:
    found = SeenNames("d/")
    found.add([f"d/{name}" for name in names])
    return found


@given(TEXTS, st.none() | TEXTS, st.integers(1, 20), st.lists(TEXTS), TEXTS)
def test_the_pieces_hold_what_the_range_held_each_key_once(low, high, pieces, names, key):
    whole = KeyRange("d/" + low, None if high is None else "d/" + max(low, high), "token")
    cut = whole.cut(pieces, seen(*sorted(names)))
    assert 1 <= len(cut) <= pieces
    assert (cut[0].after, cut[0].token, cut[-1].upto) == (whole.after, "token", whole.upto)
    assert all(piece.token is None for piece in cut[1:])
    key = "d/" + key
    holding = [piece for piece in cut if piece.after < key and piece.holds(key)]
    assert len(holding) == (whole.after < key and whole.holds(key))


def test_a_range_is_cut_where_keys_are_likely():
    cut = KeyRange("d/part-0007.pt").cut(20, seen("part-0000.pt", "part-0007.pt"))
    begins = [piece.after for piece in cut]
    assert begins[0] == "d/part-0007.pt"
    assert set(begins) >= {f"d/part-{digit}" for digit in range(1, 10)}
    assert begins[-1] == "d/part."  # behind all names that begin as those that were seen
    halves = KeyRange("d/0401.pt", "d/05").cut(2, seen("0.", "1."))
    assert [piece.upto for piece in halves] == ["d/045", "d/05"]
    assert KeyRange("d/a", "d/a0").cut(4, seen("a1")) == [KeyRange("d/a", "d/a0")]
