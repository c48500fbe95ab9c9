"""Objects under a result path, which belongs to one run at a time: the run whose manifest lies there.

A result path may be used again once its run has ended. What is left of that run, such as a rank that was frozen and
wakes much later, must then write nothing over what the later run owns. So each write has a condition, and S3 decides:

* An object that is not there is created (If-None-Match).
* An object of another run is replaced (If-Match) only by the run that the manifest names. Whoever finds that the path
  has another owner meanwhile gets RunSuperseded.
* An object of the same run is replaced only by who may do so; see `put`.

Each object names its run in its metadata, so that nothing of it need be read for that.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from lambda_image.errors import InvalidEvent, RunSuperseded, StorageUnavailable
from lambda_image.json_text import parse_json
from lambda_image.manifest import Assignment, manifest_key
from lambda_image.results import digest
from lambda_image.storage import ObjectInfo, ObjectStore, ObjectUpload, Version

RUN = "run"  # the key of the metadata that hold the owner
TRIES = 10  # of a write that meets others; each time somebody else has succeeded
JSON_TYPE, BYTES_TYPE = "application/json", "application/octet-stream"


class RunObjects:
    """Reads and writes the objects of one run under its result path."""

    def __init__(self, store: ObjectStore, execution: str, result_path: str) -> None:
        """Makes it without asking S3.

        Args:
            store: the bucket of the results.
            execution: the ARN of the run.
            result_path: what it writes under.
        """
        self.store, self.execution, self.result_path = store, execution, result_path
        self.metadata = {RUN: digest(execution.encode())}  # an ARN may hold what metadata cannot

    def begin(self, key: str, *, kind: str = BYTES_TYPE, metadata: Mapping[str, str] | None = None) -> ObjectUpload:
        """Begins an object that is too long to be held in memory, and that `put` writes in the end.

        Args:
            key: its key.
            kind: its media type.
            metadata: what is told of it, beside its owner.
        """
        return ObjectUpload(self.store, key, content_type=kind, metadata={**self.metadata, **(metadata or {})})

    def put(
        self,
        key: str,
        data: bytes | ObjectUpload,
        *,
        within_run: Literal["replace", "keep"],
        kind: str = BYTES_TYPE,
        known: Version | ObjectInfo | None = None,
    ) -> str | None:
        """Writes an object, unless its place belongs to another run.

        Args:
            key: its key.
            data: its content, or all of it that was written to an upload that `begin` gave.
            within_run: what becomes of an object of this run that is there already.
            kind: its media type.
            known: what was found in its place lately and is to be replaced, which spares asking again.

        Returns:
            The new object's ETag, or None where one of this run was kept.

        Raises:
            RunSuperseded: the result path belongs to another run.
            StorageUnavailable: others wrote it each time that this was tried.
        """

        def put(**condition: Any) -> str | None:
            if isinstance(data, ObjectUpload):
                return data.finish(**condition)
            return self.store.put(key, data, content_type=kind, metadata=self.metadata, **condition)

        if known is not None and self.is_ours(known) and (etag := put(if_match=known.etag)):
            return etag
        for _ in range(TRIES):
            if etag := put(if_absent=True):
                return etag
            there = self.store.head(key)
            if there is None:  # removed meanwhile
                continue
            if self.is_ours(there):
                if within_run == "keep":
                    return None
            else:
                self.check_owner(key)
            if etag := put(if_match=there.etag):
                return etag
        raise StorageUnavailable(f"{self.store.url(key)} was written by others each of {TRIES} times: try again")

    def is_ours(self, found: Version | ObjectInfo) -> bool:
        """Tells whether this run has written an object."""
        return found.metadata.get(RUN) == self.metadata[RUN]

    def check_owner(self, key: str) -> None:
        """Makes sure that the result path is still this run's. Where no manifest lies there it is nobody else's.

        Args:
            key: the object, for the message.

        Raises:
            RunSuperseded: the manifest under the result path is another run's.
        """
        manifest = self.store.head(manifest_key(self.result_path))
        if manifest is None or self.is_ours(manifest):
            return
        owner = owner_of(self.store, self.result_path)
        if owner is not None and owner.execution != self.execution:
            raise RunSuperseded(
                f"{self.store.url(key)} is not written: {self.result_path} belongs to the run {owner.run_id} now",
                object=key,
            )

    def remove_strays(self, keys: Sequence[str], rank: int) -> None:
        """Removes what this run has written too late, if it is of a rank that the present owner does not have.

        The owner itself replaces what stands in the places of its own ranks.

        Args:
            keys: the objects.
            rank: the rank whose objects they are.
        """
        owner = owner_of(self.store, self.result_path)
        if owner is not None and owner.execution != self.execution and rank >= owner.world_size:
            self.store.delete(keys)


def owner_of(store: ObjectStore, result_path: str) -> Assignment | None:
    """Finds which run owns a result path.

    Returns:
        The first item of the manifest there, or None where there is no manifest.

    Raises:
        InvalidEvent: what lies there is not a manifest.
    """
    found = store.find(manifest_key(result_path))
    return None if found is None else first_item(found, store.url(manifest_key(result_path)))


def first_item(manifest: bytes, url: str) -> Assignment:
    """Reads the first item of a manifest.

    Raises:
        InvalidEvent: it is not a manifest; `url` names it.
    """
    try:
        return Assignment.from_json(parse_json(manifest)[0])
    except (ValueError, LookupError, TypeError, InvalidEvent) as error:
        raise InvalidEvent(f"{url} is there and not a manifest: remove it, or give another result_path") from error
