"""Records and tables of ranks that are not there. A few are made, take turns, and differ by the rank only."""

from typing import Any

import numpy as np

from lambda_image.data.predictions import Predictions
from lambda_image.data.tally import RowTally
from lambda_image.manifest import Assignment, predictions_key
from lambda_image.rank_table import RankTable
from lambda_image.request_times import RequestTimes
from lambda_image.results import SELF, Phases, Usage, Work, rank_record

PARTITIONS = 10  # of a rank
TEMPLATES = 8  # different tables


class RankTemplates:
    """Gives each rank what it might have written. Every process that makes it has the same."""

    def __init__(self, galaxies: int) -> None:
        self._tables = [_table(seed, galaxies) for seed in range(TEMPLATES)]
        self._told = [one.statistics.to_json() for one in self._tables]

    def table(self, rank: int) -> RankTable:
        """Return the table of a rank."""
        return self._tables[rank % TEMPLATES]

    def record(self, assignment: Assignment) -> dict[str, Any]:
        """Return the record of a rank, which names its table."""
        rank = assignment.rank
        table = self.table(rank)
        rows = table.shape.rows
        work = Work(rows, 20, rows * 164_000, 1.0, 0.1, rows / 500, rows / 500, RowTally(rows, rows))
        usage = Usage(500.0, 60.0, 3008, "fast", "cpu", 4, 12, 10**8, RequestTimes(16, 1.0, 0.01, 0.2, 1.0, 2.0))
        facts = table.facts(predictions_key(assignment.result_path, rank))
        phases = Phases(inference_s=rows / 500, total_s=rows / 500 + 1)
        told = self._told[rank % TEMPLATES]
        transport = SELF if rank == assignment.gather_root else "direct"
        return rank_record(assignment, 0, work, phases, usage, facts, transport, statistics=told)


def _table(seed: int, galaxies: int) -> RankTable:
    """Photometric redshifts as good as a survey's."""
    random = np.random.default_rng(seed)
    tables = []
    for number in range(PARTITIONS):
        rows = galaxies // PARTITIONS + (number < galaxies % PARTITIONS)
        true = random.gamma(2.0, 0.1, rows).astype(np.float32)
        z = (true + (0.02 * random.standard_t(3, rows) + 0.002) * (1 + true)).astype(np.float32)
        ids = {"objid": random.integers(1 << 60, 1 << 62, rows)}
        magnitudes = random.normal(20, 1.5, (rows, 5))
        tables.append(Predictions.of_partition(f"galaxies/{seed}-{number}.pt", 0, magnitudes, z, true, columns=ids))
    return RankTable.of(tables)
