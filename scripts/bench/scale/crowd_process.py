"""Many ranks in one process. Each has real communicators and takes part in the gather by the ranks' own code.

They have inferred already, and what they give is made of a template. A line of input names groups: of each, the inner
rank that gathers, or none, and the leaves that give. Leaves take turns, a few at a time, since a leaf ends as soon as
its part was taken. The answer says how long they waited, and how many descriptors were open.

    python -m scripts.bench.scale.crowd_process '{"galaxies": 10000}'
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from lambda_image import process
from lambda_image.errors import RunError
from lambda_image.gather_tree import STAR, GroupPlace
from lambda_image.handlers import log
from lambda_image.handlers.gathering import Gathering, GatherOutcome
from lambda_image.handlers.invocation import Collaborators
from lambda_image.manifest import Assignment
from lambda_image.ownership import RunObjects
from lambda_image.results import STORAGE
from lambda_image.settings import HandlerSettings
from lambda_image.shares import complete_all
from lambda_image.storage import ObjectStore
from scripts.bench.scale.descriptors import DescriptorCount, limit_descriptors
from scripts.bench.scale.rank_templates import RankTemplates

LEAVES_AT_ONCE = 8
JOIN_S = 30.0
GATHER_S = 60.0
LATEST_S = 900.0


class Crowd:
    """Ranks that share a process."""

    def __init__(self, settings: HandlerSettings, templates: RankTemplates, store: ObjectStore) -> None:
        self._settings, self._templates, self._store = settings, templates, store
        self._join = Collaborators().join

    def gathering(self, item: Assignment) -> Gathering:
        """Let one rank join the gather."""
        objects = RunObjects(self._store, item.execution, item.result_path)
        join = partial(self._join_group, item)
        return Gathering(join, objects, item, log, self._settings.memory_mb, time.monotonic() + LATEST_S)

    def give(self, gathering: Gathering, item: Assignment) -> GatherOutcome:
        """Let one rank give its part, and leave."""
        try:
            table = self._templates.table(item.rank).content
            return gathering.gather(self._templates.record(item), table, time.monotonic() + GATHER_S)
        finally:
            gathering.close()

    def group(self, inner: Assignment | None, leaves: Sequence[Assignment]) -> list[GatherOutcome]:
        """Let an inner rank, if there is one, gather the parts of its leaves."""
        above = None if inner is None else self.gathering(inner)
        with ThreadPoolExecutor(LEAVES_AT_ONCE) as pool:
            outcomes = list(pool.map(lambda item: self.give(self.gathering(item), item), leaves))
        if above is not None and inner is not None:
            outcomes.append(self.give(above, inner))
        return outcomes

    def _join_group(self, item: Assignment, group: GroupPlace) -> Any:
        assert item.rendezvous_endpoint is not None
        return self._join(
            item.rendezvous_endpoint,
            None,
            run_id=item.run_id + group.suffix,
            run_key=group.key(bytes.fromhex(item.run_key)),
            rank=group.number,
            world_size=len(group.members),
            rendezvous_key=self._settings.rendezvous_key,
            names=None if item.gather_width == STAR else group.members,
            deadline=time.monotonic() + JOIN_S,
        )


def main(spec: dict[str, Any]) -> None:
    limit_descriptors()
    settings, templates = HandlerSettings.from_environ(os.environ), RankTemplates(spec["galaxies"])
    tell, sys.stdout = sys.stdout, sys.stderr
    print(json.dumps({"ready": True}), file=tell, flush=True)
    for line in sys.stdin:
        asked, busy = json.loads(line), time.process_time()
        items = [Assignment.from_json(item) for item in asked["items"]]
        store = ObjectStore(items[0].bucket)
        ranks = {item.rank: item for item in complete_all(items, store)} if items else {}
        crowd, outcomes, failures = Crowd(settings, templates, store), [], []
        with DescriptorCount() as descriptors:
            for inner, leaves in asked["groups"]:
                try:
                    above = None if inner is None else ranks[inner]
                    outcomes += crowd.group(above, [ranks[leaf] for leaf in leaves])
                except RunError as error:
                    failures.append(f"group of rank {inner}: {error}")
        failures += [str(outcome.reason) for outcome in outcomes if outcome.transport == STORAGE]
        told = {
            "gave": len(outcomes) - sum(outcome.transport == STORAGE for outcome in outcomes),
            "wait_s": sum(outcome.waited_s for outcome in outcomes),
            "cpu_s": time.process_time() - busy,
            "peak_mb": process.peak_rss_mb(),
            "descriptors": descriptors.most,
            "failures": failures[:3],
        }
        print(json.dumps(told), file=tell, flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
