"""The verdict on what came of a changed file.

A row of the table is wrong if any of these holds:

1. It is not the row that it says it is: its number, the user's columns, its magnitudes or its true redshift are not
   what another reader finds in the file, bit for bit.
2. It has a prediction although a pixel or a magnitude is not finite or not plausible, or it has none without that.
3. Its image and magnitudes are those of the good file, and its prediction is not, bit for bit. Where PyTorch predicts,
   whose last bits depend on a batch's size, it is not within the tolerance of the next rule.
4. Its image or magnitudes have changed, and its prediction is not what PyTorch predicts in float64 of the new values.
5. Its prediction is no redshift that a galaxy can have, and no flag says so.

A changed value that is plausible is right by these rules, as nobody can know that it was another one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lambda_image.data.predictions import Predictions
from lambda_image.model import SHIPPED_MODEL, checkpoint
from lambda_image.model.architecture import RedshiftModel
from scripts.bench.input.mutations import Mutation
from scripts.bench.input.originals import Original
from scripts.bench.input.readers import Content, content_of, read_independently

Array = NDArray[Any]
Flags = NDArray[np.bool_]

# A rounding error may grow with the values that it comes from.
PIXELS = 5 * 32 * 32
TOLERANCE = 1e-4  # of 1 + |redshift|
NULLING, UNKNOWN, NOT_FINITE = 1 | 2 | 4, 8, 16  # bits of `quality`
REMEDIES = ("fetch", "save", "need", "are allowed", "can be", "rename", "Mend", "give", "write", "make")

REFUSED, AS_BEFORE, CHANGED = "refused in one line", "read, nothing changed", "read, with changed values"
FAILED = "failed"


@dataclass
class Verdict:
    """What came of one file.

    Attributes:
        outcome: One of the four outcomes.
        problems: Why it failed.
        rows: Rows by what became of them.
    """

    outcome: str
    problems: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)


class Judge:
    """Judges answers of the worker."""

    def __init__(self, good: Sequence[Original], predictions: Mapping[str, Array], engine: str) -> None:
        """Take the redshifts that the engine of this name predicts of the good files, by their names."""
        self._bit_for_bit = engine == "fast"
        torch.set_num_threads(1)
        model = checkpoint.load(SHIPPED_MODEL)
        self._exact = RedshiftModel(model.config).double().eval()
        self._exact.load_state_dict(model.state_dict(), strict=False)  # counters of batch norms are not in files
        self._good = {original.name: content_of(original.tensors) for original in good}
        self._predictions = dict(predictions)

    def verdict(self, mutation: Mutation, answer: Mapping[str, Any], table: bytes | None) -> Verdict:
        """Judge the answer to a mutation, with the table that was written."""
        if "traceback" in answer:
            return Verdict(FAILED, [str(answer["traceback"])])
        if table is None:
            unclear = list(_unclear(str(answer["message"]), mutation.original.name))
            return Verdict(FAILED if unclear else REFUSED, unclear)
        good = self._good[mutation.original.name].part(mutation.rows)
        found = read_independently(mutation.data, is_safetensors=mutation.original.is_safetensors)
        content = good if found is None else found.part(mutation.rows)  # what only we read must be as it was
        unpredictable = _unpredictable(content)
        kept = ~unpredictable if mutation.on_bad_row == "skip" else np.ones(len(unpredictable), np.bool_)
        predictions = Predictions.from_parquet(table)
        if len(predictions) != np.count_nonzero(kept):
            problem = f"the table has {len(predictions)} rows instead of {np.count_nonzero(kept)}"
            return Verdict(FAILED, [problem if found else f"{problem}, and no other reader takes the file"])
        same = _unchanged(content, good)
        clean = self._predictions[mutation.original.name][slice(*(mutation.rows or (None,)))]
        before = np.full(len(same), np.nan, np.float32)
        before[same] = clean[np.flatnonzero(same)]
        problems = [
            *_misplaced(content.chosen(kept), predictions),
            *_misjudged(content.chosen(kept), unpredictable[kept], predictions),
            *self._mispredicted(content.chosen(kept), predictions, same[kept], before[kept]),
            *_miscounted(answer, len(unpredictable), predictions),
        ]
        if answer.get("whole", "same") != "same":
            problems.append(f"a stream is read, and of a mapped file the redshifts are {answer['whole']}")
        if problems and found is None:
            problems.append("no other reader takes the file")
        flags = predictions.quality & ~UNKNOWN
        rows = {
            "unchanged": np.count_nonzero(same),
            "changed, without a prediction": np.count_nonzero(unpredictable & ~same),
            "changed, with a flag": np.count_nonzero(~same[kept] & ~unpredictable[kept] & (flags != 0)),
            "changed, plausible": np.count_nonzero(~same[kept] & ~unpredictable[kept] & (flags == 0)),
        }
        outcome = FAILED if problems else AS_BEFORE if same.all() and len(same) == len(clean) else CHANGED
        return Verdict(outcome, problems, {name: int(count) for name, count in rows.items()})

    def _mispredicted(self, content: Content, predictions: Predictions, same: Flags, before: Array) -> Iterator[str]:
        """Predictions that are not what was predicted `before` of the same row, or is computed of a new one."""
        z = predictions.redshift
        there = np.isfinite(z)
        expected = before.astype(np.float64)
        if (new := there & ~same).any():
            expected[new] = self._exactly(content.images[new], content.magnitudes[new])
        for place in np.flatnonzero(there):
            if same[place] and self._bit_for_bit and z[place] != before[place]:
                yield f"row {place} has not changed, and {z[place]:.9g} is predicted instead of {before[place]:.9g}"
            elif not abs(z[place] - expected[place]) <= TOLERANCE * (1 + abs(expected[place])):
                yield f"row {place} is predicted as {z[place]:.9g} instead of {expected[place]:.9g}"
            elif not _possible(z[place]) and not predictions.quality[place] & ~UNKNOWN:
                yield f"row {place} is predicted as {z[place]:.9g}, and no flag says so"

    def _exactly(self, images: Array, magnitudes: Array) -> Array:
        with torch.inference_mode():
            inputs = [torch.from_numpy(np.ascontiguousarray(array)).double() for array in (images, magnitudes)]
            answers: Array = self._exact(*inputs)[:, 0].numpy()
        return answers


def _unclear(message: str, name: str) -> Iterator[str]:
    """What a refusal lacks."""
    if len(message.splitlines()) != 1 or not message.isprintable():
        yield f"the refusal has not one line: {message!r}"
    if name not in message:
        yield f"the refusal does not name the file: {message}"
    if not any(remedy in message for remedy in REMEDIES):
        yield f"the refusal names no remedy: {message}"


def _unpredictable(content: Content) -> Flags:
    """Which rows can have no prediction, by the bounds that docs/runs.md gives."""
    pixels, m = content.images.reshape(len(content.images), PIXELS), content.magnitudes
    plausible = np.isfinite(pixels) & (pixels >= -10) & (pixels <= 100_000)
    return np.asarray(~plausible.all(axis=1) | ~((m > 0) & (m < 40)).all(axis=1))


def _possible(redshifts: Array) -> Flags:
    return np.asarray((redshifts > -0.1) & (redshifts < 20))


def _unchanged(content: Content, good: Content) -> Flags:
    """Which rows have the image and the magnitudes that the good file has in the same place."""
    same = np.zeros(len(content.images), np.bool_)
    for place in range(min(len(same), len(good.images))):
        same[place] = all(
            getattr(content, name)[place].tobytes() == getattr(good, name)[place].tobytes()
            for name in ("images", "magnitudes")
        )
    return same


def _misplaced(content: Content, predictions: Predictions) -> Iterator[str]:
    """Columns of the table that are not what is in the file."""
    known = _possible(content.redshifts)
    expected: dict[str, tuple[Array, Array | None]] = {
        "row": (content.rows, predictions.row),
        "the magnitudes": (content.magnitudes, predictions.magnitudes),
        "redshift_true": (np.where(known, content.redshifts, np.float32(np.nan)), predictions.redshift_true),
        **{name: (values, predictions.columns.get(name)) for name, values in content.columns.items()},
    }
    for name, (wanted, there) in expected.items() if len(predictions) else ():  # no rows need no columns
        if there is None or not _equal(wanted, there):
            yield f"{name} is not what the file holds"
    if invented := predictions.columns.keys() - content.columns.keys():
        yield f"the table has columns that the file lacks: {', '.join(invented)}"


def _equal(wanted: Array, there: Array) -> bool:
    if wanted.dtype.kind == "S":
        return bool((wanted == np.ma.getdata(there)).all()) if len(wanted) else True
    same_type = wanted.dtype == there.dtype or not len(wanted)
    return same_type and np.array_equal(wanted, np.ma.getdata(there), equal_nan=wanted.dtype.kind == "f")


def _misjudged(content: Content, unpredictable: Flags, predictions: Predictions) -> Iterator[str]:
    """Rows with a prediction that they cannot have, rows that lack theirs, and flags that are not true."""
    missing = np.isnan(predictions.redshift)
    flags = predictions.quality
    for place in np.flatnonzero(missing != (unpredictable | ((flags & NOT_FINITE) != 0))):
        yield f"row {place} has {'no' if missing[place] else 'a'} prediction, which is wrong"
    for place in np.flatnonzero(unpredictable & ((flags & NULLING) == 0)):
        yield f"row {place} has no flag that says why it has no prediction"
    for place in np.flatnonzero(((flags & UNKNOWN) != 0) != ~_possible(content.redshifts)):
        yield f"row {place} has a wrong flag about its true redshift"


def _miscounted(answer: Mapping[str, Any], rows_in: int, predictions: Predictions) -> Iterator[str]:
    rows, measures = answer["rows"], answer["accuracy"]
    if rows["in"] != rows_in or rows["in"] != rows["predicted"] + rows["flagged"] + rows["skipped"]:
        yield f"of {rows_in} rows these are counted: {rows}"
    missing = np.isnan(predictions.redshift)
    if (rows["predicted"], rows["flagged"]) != (np.count_nonzero(~missing), np.count_nonzero(missing)):
        yield f"the table does not have what is counted: {rows}"
    both = ~missing & ~np.isnan(predictions.redshift_true)
    error = np.abs(predictions.redshift[both].astype(np.float64) - predictions.redshift_true[both])
    counted = measures["samples"] == len(error)
    if not counted or (len(error) and not np.isclose(measures["mae"], error.mean(), rtol=1e-9)):
        yield f"the accuracy is not that of the table's {len(error)} rows: {measures}"
