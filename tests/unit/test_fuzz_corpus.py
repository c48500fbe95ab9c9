"""The corpus of tests/fuzz, replayed: each input was a seed, reached something new, or broke a parser once."""

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"
MAX_BYTES = 400_000  # of the whole corpus, which is kept in git


@pytest.mark.parametrize("target", TARGETS)
def test_every_parser_bears_its_corpus(target: str) -> None:
    inputs = sorted((CORPUS / target).iterdir())
    assert inputs
    for path in inputs:
        TARGETS[target](path.read_bytes())
    TARGETS[target](b"")


def test_the_corpus_is_small_and_belongs_to_targets() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == TARGETS.keys()
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < MAX_BYTES
