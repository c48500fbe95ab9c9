import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.bundle import MAX_REASON, Delivered, Parts, bundle, unbundle

RANKS = st.integers(0, 10_000)


@given(
    st.dictionaries(RANKS, st.tuples(st.sampled_from(["self", "direct"]), st.binary(max_size=50)), max_size=5),
    st.dictionaries(RANKS, st.text(max_size=50), max_size=5),
)
def test_what_is_put_together_is_taken_apart(came: dict[int, tuple[str, bytes]], missing: dict[int, str]):
    parts = Parts({rank: Delivered(*part) for rank, part in came.items()}, missing)
    found = unbundle(bytearray(bundle(parts)))
    assert {rank: (part.transport, bytes(part.content)) for rank, part in found.came.items()} == came
    assert found.missing == missing


def test_the_reasons_of_a_hundred_ranks_stay_short():
    text = "x" * 100_000
    assert len(bundle(Parts(missing=dict.fromkeys(range(100), text)))) < 100 * (MAX_REASON + 50)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content + b"more",
        lambda content: b"",
        lambda content: bytes(8),
        lambda content: content[:4] + b"[" * (len(content) - 4),
        lambda content: (2).to_bytes(4, "big") + b"{}",
        lambda content: (4).to_bytes(4, "big") + json.dumps([1]).encode(),
    ],
)
def test_what_is_damaged_is_refused(damage):
    whole = bundle(Parts({3: Delivered("direct", b"part")}))
    with pytest.raises(ValueError, match=r"."):
        unbundle(damage(whole))
