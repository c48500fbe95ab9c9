import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.dealing import EVEN, deal, deal_partitions, deal_rows


@given(st.integers(0, 200), st.integers(1, 40))
def test_dealing_keeps_order_and_is_even(count, world_size):
    shares = deal(range(count), world_size)
    assert len(shares) == world_size
    assert list(itertools.chain(*shares)) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(st.integers(1, 500), st.integers(1, 40))
def test_dealing_rows_covers_the_dataset_once(rows, world_size):
    slices = list(itertools.chain(*deal_rows("k", "etag", rows, world_size)))
    assert [row for part in slices for row in range(*part.rows)] == list(range(rows))
    assert len(slices) == min(rows, world_size)


SIZES = st.lists(st.integers(1, 1000), max_size=24)


def least_largest(sizes: list[int], ranks: int) -> int:
    """The smallest largest share of all ways to cut, tried one by one from the end."""
    if ranks == 1 or not sizes:
        return sum(sizes)
    best: dict[tuple[int, int], int] = {}
    for left in range(1, ranks + 1):
        for start in range(len(sizes), -1, -1):
            if left == 1:
                best[start, left] = sum(sizes[start:])
                continue
            cuts = range(start, len(sizes) + 1)
            best[start, left] = min(max(sum(sizes[start:cut]), best[cut, left - 1]) for cut in cuts)
    return best[0, ranks]


@given(SIZES, st.integers(1, 9), st.sampled_from(["files", "bytes", None]))
def test_every_partition_has_one_rank_and_keeps_its_place(sizes, world_size, by):
    dealt = deal_partitions(sizes, world_size, by)
    assert len(dealt.stretches) == world_size
    assert list(itertools.chain(*dealt.stretches)) == list(range(len(sizes)))
    assert dealt.by == (by or dealt.by)
    assert dealt.largest == max(sum(sizes[place] for place in stretch) for stretch in dealt.stretches)


@given(SIZES, st.integers(1, 9))
def test_by_bytes_the_largest_share_is_as_small_as_any_way_of_cutting_makes_it(sizes, world_size):
    assert deal_partitions(sizes, world_size, "bytes").largest == least_largest(sizes, world_size)


@given(SIZES, st.integers(1, 9))
def test_without_a_wish_files_are_dealt_unless_that_makes_the_largest_share_larger(sizes, world_size):
    chosen, by_bytes = deal_partitions(sizes, world_size), least_largest(sizes, world_size)
    by_files = max(map(sum, deal(sizes, world_size)))
    assert chosen.by == ("bytes" if by_files > EVEN * by_bytes else "files")


def test_by_bytes_the_smaller_shares_are_even_too():
    dealt = deal_partitions([100, *[10] * 30], 4, "bytes")
    assert [len(stretch) for stretch in dealt.stretches] == [1, 10, 10, 10]
    assert deal_partitions([10] * 10, 4, "bytes").stretches == [range(3), range(3, 5), range(5, 8), range(8, 10)]


def test_a_deal_says_what_the_other_would_have_done():
    sizes = [1] * 8 + [20] * 2
    assert deal_partitions(sizes, 5).said() == (
        "the partitions are dealt by bytes. By files the largest share would have 2.00 times the bytes"
    )
    assert deal_partitions(sizes, 5, "files").said().startswith("the partitions are dealt by files. By bytes")


@pytest.mark.parametrize("by", ["files", "bytes"])
def test_a_million_partitions_are_dealt_to_ten_thousand_ranks(by):
    sizes = [1_000_000 + 7919 * place % 900_000 for place in range(100_000)]
    dealt = deal_partitions(sizes, 10_000, by)
    assert dealt.stretches[-1].stop == len(sizes)
