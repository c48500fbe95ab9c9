import itertools
import random
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.storage.listing import LISTERS, each_page
from tests.unit.lambda_image.storage.ordered_keys import OrderedKeys

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6) | st.from_regex(
    r"(part-)?[0-9a-f]{1,4}(/[0-9])?\.pt", fullmatch=True
)
CHANCE = random.Random(0)


def listed(folder: OrderedKeys) -> list[str]:
    """Keys and folders, in the order of S3."""
    pages = list(each_page(folder.ask, folder.prefix))
    keys = [item["Key"] for page in pages for item in page["Contents"]]
    folders = {found["Prefix"] for page in pages for found in page["CommonPrefixes"]}
    assert len(keys) == len(set(keys))
    return sorted([*keys, *folders])


@given(st.lists(NAMES, max_size=60), st.integers(1, 7), st.sampled_from(["", "d/"]))
def test_every_key_is_listed_once_whatever_the_keys_are(names: list[str], page: int, prefix: str):
    folder = OrderedKeys([prefix + name for name in names], prefix, page)
    assert listed(folder) == folder.entries


def test_one_page_is_one_request_in_this_thread():
    folder, threads = OrderedKeys(["d/1.pt", "d/2.pt"]), []

    def ask(**wanted: str) -> object:
        threads.append(threading.current_thread())
        return folder.ask(**wanted)

    assert len(list(each_page(ask, "d/"))) == 1
    assert threads == [threading.main_thread()]


@pytest.mark.parametrize(
    "names",
    [
        [f"{n}.pt" for n in range(20_000)],
        [f"part-{n:07d}.pt" for n in range(20_000)],
        [f"{CHANCE.randbytes(8).hex()}.safetensors" for _ in range(20_000)],
        [f"2026-11-{1 + n // 700:02d}/{n}" for n in range(20)] + [f"sdss_{n:05d}_field.pt" for n in range(20_000)],
    ],
    ids=["counted", "padded", "random", "named"],
)
def test_few_pages_are_asked_for_in_vain(names: list[str]):
    folder = OrderedKeys(["d/" + name for name in names], page=20)
    assert sum(len(page["Contents"]) for page in each_page(folder.ask, "d/")) == sum("/" not in name for name in names)
    assert len(folder.requests) < 1.25 * len(names) / folder.page
    assert sum("StartAfter" in wanted for wanted in folder.requests) >= LISTERS


def test_pages_are_asked_for_at_a_time():
    folder, numbers = OrderedKeys([f"d/{n}.pt" for n in range(1000)]), itertools.count()
    together = threading.Barrier(8)

    def ask(**wanted: str) -> object:
        if 0 <= next(numbers) - 100 < together.parties:  # each waits for the others, which do not come one by one
            together.wait(timeout=60)
        return folder.ask(**wanted)

    assert sum(len(page["Contents"]) for page in each_page(ask, "d/")) == 1000


def test_what_goes_wrong_in_a_page_is_raised():
    folder = OrderedKeys([f"d/{n}" for n in range(100)])

    def ask(**wanted: str) -> object:
        if len(folder.requests) > 5:
            raise ConnectionError("gone")
        return folder.ask(**wanted)

    with pytest.raises(ConnectionError, match="gone"):
        list(each_page(ask, "d/"))
