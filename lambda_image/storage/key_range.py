"""Ranges of keys, and where to cut them so that they can be listed at a time. No I/O.

S3 lists keys one page after another, and a page says where the next one begins. A thousand pages therefore take a
thousand answers, unless several listings begin at different keys. Nobody knows the keys between, so a range is cut by
the characters that keys had so far. A range that turns out to be empty costs one request.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase, digits

MOST = "\U0010ffff"
CLASSES = (digits, ascii_lowercase, ascii_uppercase)  # where one of them stands, others of its class are likely


@dataclass(frozen=True)
class KeyRange:
    """Keys behind `after`, up to and with `upto`, in the order of their code points, which is that of S3."""

    after: str
    upto: str | None = None  # None: as far as there are keys
    token: str | None = None  # of the next page, where the range goes on from one

    def holds(self, key: str) -> bool:
        """Tells whether a key that a listing gave from `after` on lies before the end."""
        return self.upto is None or key <= self.upto

    def cut(self, pieces: int, seen: "SeenNames") -> "list[KeyRange]":
        """Cuts a range where keys are likely.

        Args:
            pieces: how many are wanted.
            seen: what keys were like so far.

        Returns:
            Ranges that together hold the same keys. They are fewer where there are not as many places to cut.
        """
        if pieces < 2:
            return [self]
        places = seen.places(self.after.removeprefix(seen.prefix), self.upto and self.upto.removeprefix(seen.prefix))
        step = max(1.0, (len(places) + 1) / pieces)
        chosen = [seen.prefix + places[round(step * n) - 1] for n in range(1, pieces) if round(step * n) <= len(places)]
        ends = [*chosen, self.upto]
        begins = [KeyRange(self.after, ends[0], self.token)]
        return begins + [KeyRange(after, upto) for after, upto in zip(chosen, ends[1:], strict=True)]


class SeenNames:
    """What the names behind a prefix were like so far, by which one guesses where others are."""

    def __init__(self, prefix: str) -> None:
        """Has seen none.

        Args:
            prefix: what all keys begin with.
        """
        self.prefix = prefix
        self._characters: set[str] = set()
        self._common: str | None = None  # what all of them begin with

    def add(self, keys: Sequence[str]) -> None:
        """Takes keys in their order. Some of them tell enough."""
        if not keys:
            return
        names = [key.removeprefix(self.prefix) for key in (*keys[:: max(1, len(keys) // 50)], keys[-1])]
        self._characters.update(*names)
        self._characters.discard("/")
        self._common = _common_start([*names, self._common] if self._common is not None else names)

    def places(self, low: str, high: str | None) -> list[str]:
        """Returns texts between the two where a range can be cut: those of the first position that has any."""
        stem = (self._common or "").rstrip(digits)  # a number that all begin with is a low one
        behind = [stem[:-1] + chr(ord(stem[-1]) + 1)] if stem and stem[-1] < MOST else []
        if low.startswith(stem) and (high is None or (behind and high > behind[0])):
            return self._places(low, high, len(stem)) + behind
        return self._places(low, high, 0)

    def _places(self, low: str, high: str | None, first: int) -> list[str]:
        for length in range(first, len(low) + 1):
            stem, at = low[:length], low[length : length + 1]
            characters = self._characters.union(*(one_class for one_class in CLASSES if at and at in one_class))
            found = [stem + c for c in sorted(characters) if c > at and (high is None or stem + c < high)]
            if found:
                return found
        return []


def _common_start(names: Sequence[str]) -> str:
    """What all of them begin with, as the first and the last in their order do."""
    low, high = min(names), max(names)
    different = (at for at, (one, other) in enumerate(zip(low, high, strict=False)) if one != other)
    return low[: next(different, min(len(low), len(high)))]
