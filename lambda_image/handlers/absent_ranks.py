"""Ranks of a group that are not connected, and what S3 says of them. Nobody waits for what cannot come any more.

A rank that has given up the gather says so in its `<rank>.json`, as `gather_error`. A rank that gathers looks there for
those without a channel while it waits, and they look there for the one that gathers.
"""

import threading
from typing import TYPE_CHECKING, Any

from lambda_image.errors import RunError
from lambda_image.gather_tree import GroupPlace
from lambda_image.json_text import parse_json
from lambda_image.manifest import Assignment, result_key
from lambda_image.ownership import RunObjects
from lambda_image.results import belongs

if TYPE_CHECKING:
    from lambda_image.comm.communicator import Communicator

POLL_S = 1.0  # between two looks for ranks that have given up; a listing costs as much as 0.1 s of the wait
LISTED = 1000  # objects of one answer of S3, so that fewer ranks than there are answers are asked about one by one


class AbsentRanks:
    """While a rank gathers, excuses the ranks that are not connected and have given up; a context manager."""

    def __init__(
        self,
        communicator: "Communicator",
        group: GroupPlace,
        objects: RunObjects,
        assignment: Assignment,
        poll_s: float = POLL_S,
    ) -> None:
        """Makes it; the thread begins with the block.

        Args:
            communicator: of the rank that gathers.
            group: the group of that communicator.
            objects: the run's objects.
            assignment: that rank's item of the manifest.
            poll_s: seconds until the first look, and between two.
        """
        self._communicator, self._group = communicator, group
        self._objects, self._assignment = objects, assignment
        self._poll_s = poll_s
        self._etags: dict[str, str] = {}  # of objects that have been read
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="absent ranks", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()  # a request that is under way ends by itself

    def look(self) -> None:
        """Excuses whoever has given up by now.

        Raises:
            RunError: S3 did not answer, or denied access.
        """
        connected = {peer.rank for peer in self._communicator.peers() if peer.transport and peer.lost is None}
        path = self._assignment.result_path
        absent = {
            result_key(path, rank): (number, rank)
            for number, rank in enumerate(self._group.members)
            if number != self._group.number and number not in connected
        }
        if not absent:
            return
        store, pages = self._objects.store, -(-self._assignment.world_size // LISTED)
        each = (store.head(key) for key in absent)
        for found in each if len(absent) < pages else store.list_folder(f"{path}/"):
            if found is None or found.key not in absent or self._etags.get(found.key) == found.etag:
                continue
            number, rank = absent[found.key]
            if (reason := given_up(self._objects, self._assignment, rank)) is not None:
                self._communicator.excuse(number, f"takes no part in the gather: {reason}")
            self._etags[found.key] = found.etag

    def _work(self) -> None:
        while not self._ended.wait(self._poll_s):
            try:
                self.look()
            except RunError:  # S3 may answer the next time; until then it is as if nobody had looked
                continue


def given_up(objects: RunObjects, assignment: Assignment, rank: int) -> str | None:
    """Reads why a rank takes no part in the gather any more.

    Args:
        objects: the run's objects.
        assignment: any rank's item of the manifest.
        rank: the rank that is asked about.

    Returns:
        The reason that it gives, or None where it gives none.
    """
    found = objects.store.find(result_key(assignment.result_path, rank))
    try:
        record: Any = parse_json(found) if found is not None else None
    except ValueError:
        return None
    reason = record.get("gather_error") if belongs(record, assignment, rank) else None
    return None if reason is None else str(reason)
