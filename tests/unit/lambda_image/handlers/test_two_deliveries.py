"""Two invocations of one rank at once, interleaved at each of their writes, on hosts whose arithmetic differs."""

import json
import threading

import numpy as np
import pytest

from lambda_image.data.predictions import Predictions
from lambda_image.errors import InvalidEvent
from lambda_image.handlers.summarize import summarize
from lambda_image.manifest import Run
from lambda_image.results import digest, unpack
from lambda_image.storage import ObjectStore
from tests.unit.lambda_image.handlers.rank_stage import NOW, RECORD, ROWS, TABLE, Stage

PATIENCE_S = 30.0
PUTS = 6  # more than a delivery makes: it is then never stopped


class Delivery:
    """An invocation that stops before one of its writes until it is let go."""

    def __init__(self, stage: Stage, stop_at: int, tries: int, offset: float) -> None:
        self.stage, self._stop_at = stage, stop_at
        self._stopped, self._go = threading.Event(), threading.Event()
        self._failure: BaseException | None = None
        stage.s3.before_put = self._before_put
        predict = stage.engine.predict
        stage.engine.predict = lambda images, magnitudes: predict(images, magnitudes) + np.float32(offset)  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._run, args=(tries,), daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._stopped.wait(PATIENCE_S)

    def finish(self) -> None:
        self._go.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure

    def _before_put(self, number: int) -> None:
        if number == self._stop_at:
            self._stopped.set()
            assert self._go.wait(PATIENCE_S)

    def _run(self, tries: int) -> None:
        try:
            self.stage.invoke(attempt=tries)
        except BaseException as error:
            self._failure = error
        finally:
            self._stopped.set()


@pytest.mark.parametrize("tries", [0, 1], ids=["delivered twice", "tried again while the first is at work"])
@pytest.mark.parametrize("first", range(1, PUTS + 1))
@pytest.mark.parametrize("second", range(1, PUTS + 1))
def test_they_never_mix_and_the_rank_is_not_lost(first: int, second: int, tries: int):
    one = Stage(partitions=("d/1", "d/2"), world_size=2)
    other = Stage.of(one, one.assignment)
    deliveries = (Delivery(one, first, 0, 0.0), Delivery(other, second, tries, 2**-10))
    for step in (Delivery.start, Delivery.finish):
        for delivery in deliveries:
            step(delivery)
    record = one.json(RECORD)
    named = one.s3.objects[record["predictions"]["key"]]
    assert digest(named) == record["predictions"]["blake2b"]
    for stage in (one, other):  # whatever was offered to the gather is what counts
        for offered in stage.communicator.gathered:
            assert unpack(offered["part"])[1] == named
    check_summary(one, named)


def check_summary(stage: Stage, named: bytes) -> None:
    """Summarize takes the attempt that counts, and its table lies where users look for it."""
    item = stage.assignment.to_json()
    stage.s3.objects["r/manifest.json"] = json.dumps([{**item, "rank": 0, "partitions": []}, item]).encode()
    stage.s3.before_put = lambda number: None
    run = Run("arn:machine:run-1", "b", "r/manifest.json", "r", 2, 1, NOW, ())  # rank 0 never began
    store = ObjectStore("b", client=stage.s3, missing=InvalidEvent)  # type: ignore[arg-type]
    summary = summarize(store, run, {}, 1.0, 512)
    assert (summary.status, summary.samples) == ("succeeded", 2 * ROWS)
    assert [failure.rank for failure in summary.failed_ranks] == [0]
    table = Predictions.from_parquet(named)
    assert len(set(np.mod(table.redshift, 1).tolist())) == 1
    for key in (TABLE, "r/predictions.parquet"):
        assert np.array_equal(stage.table(key).redshift, table.redshift), key
