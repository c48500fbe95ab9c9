"""A rank's `<rank>.json`, through which its attempts agree on who is which attempt, and on whose result counts.

    absent ──► claim of attempt 0 ──► claim of attempt 1 ──► ...  ──► record of the first attempt that is complete

An attempt claims its number by writing the claim when it begins. Each later write replaces the very version that the
writer has seen (If-Match), so that of two writers S3 refuses one, which then looks again. Hence

* a start that Lambda refused is no attempt, and two deliveries of one invocation are two attempts;
* the record of a complete attempt is replaced by nobody. An attempt that is complete later takes over that record. One
  that finds it when it begins adds its own number as `adopted_by`, since the state machine would not have tried again
  if the complete attempt had answered;
* an attempt of an earlier run cannot write, since the later run has removed or replaced the version it knows.

A claim and a record of a failed attempt have `error` or no `predictions`, by which `results.is_complete` tells them
from a result. `gather_error` says in all of them why the rank's part will not come by way of the gather, or, in that of
a rank that gathers, why no part is taken any more.
"""

import secrets
from dataclasses import dataclass
from typing import Any

from lambda_image.errors import RunSuperseded, StorageUnavailable
from lambda_image.gather_tree import place_of
from lambda_image.json_text import parse_json
from lambda_image.manifest import Assignment, result_key
from lambda_image.ownership import TRIES, RunObjects
from lambda_image.results import Record, belongs, is_complete


@dataclass(frozen=True)
class Claim:
    """What an attempt learns when it begins."""

    attempt: int  # how many began before
    # Whether Lambda delivered an invocation that it had delivered before: the earlier attempt may well be at work.
    duplicate: bool = False
    finished: Record | None = None  # of an attempt that is complete, so that there is nothing left to be done
    gather_error: str | None = None  # why a rank that gathers does not do so any more


class RankRegister:
    """Reads and writes the `<rank>.json` of one attempt."""

    def __init__(self, objects: RunObjects, assignment: Assignment) -> None:
        """Makes it without asking S3.

        Args:
            objects: the run's objects.
            assignment: the rank's item of the manifest.
        """
        self._objects, self._assignment = objects, assignment
        self._key = result_key(assignment.result_path, assignment.rank)
        self._etag: str | None = None  # of the version that this attempt knows
        self._token = secrets.token_hex(8)  # tells a claim of ours whose answer was lost from another's

    def claim(self, tries: int) -> Claim:
        """Begins an attempt.

        Args:
            tries: how often the state machine has tried this rank before, refused starts included.

        Raises:
            RunSuperseded: the result path belongs to another run.
            StorageUnavailable: S3 does not answer, or others claimed each time that this was tried.
        """
        if self._put(self._claim(Claim(0), tries)):
            self._check_that_the_run_goes_on()
            return Claim(0)
        for _ in range(TRIES):
            found = self._look()
            claim = Claim(0)
            if belongs(found, self._assignment):
                assert found is not None
                claim = self._after(found, tries)
                if claim.finished is not None or found.get("token") == self._token:
                    return claim
            elif found is not None:
                self._objects.check_owner(self._key)
            if self._put(self._claim(claim, tries)):
                return claim
        raise self._contested()

    def write(self, record: Record) -> Record:
        """Writes this attempt's record, unless another attempt was complete before.

        Args:
            record: what this attempt has to say.

        Returns:
            The record that stands: this one, or that of the other attempt.

        Raises:
            RunSuperseded: the result path belongs to another run.
            StorageUnavailable: S3 does not answer, or others wrote each time that this was tried.
        """
        for _ in range(TRIES):
            if self._etag is not None and self._put(record):
                return record
            found = self._look()
            if not belongs(found, self._assignment):
                self._objects.check_owner(self._key)
                if found is None and self._put(record):
                    return record
                continue
            assert found is not None
            if found["attempt"] != record["attempt"] and (is_complete(found) or record["error"] is not None):
                return found
        raise self._contested()

    def _check_that_the_run_goes_on(self) -> None:
        """An invocation that begins when another run has the path finds nothing in the way of its claim, and goes.

        Where the run loses the path after this check, the claim is removed with it, and nothing can follow it.
        """
        try:
            self._objects.check_owner(self._key)
        except RunSuperseded:
            self._objects.remove_strays([self._key], self._assignment.rank)
            raise

    def _after(self, found: Record, tries: int) -> Claim:
        gathers = place_of(self._assignment).down is not None
        reason = found.get("gather_error") if gathers else None
        if found.get("token") == self._token:
            return Claim(found["attempt"], gather_error=reason)
        duplicate = found.get("tries", tries - 1) >= tries
        latest = max(found["attempt"], found.get("adopted_by") or 0)
        if gathers and not duplicate:  # what it had taken is lost with it, and those that gave it have gone
            reason = reason or f"rank {self._assignment.rank} was lost and tried again"
        return Claim(latest + 1, duplicate, found if is_complete(found) else None, reason)

    def _claim(self, claim: Claim, tries: int) -> dict[str, Any]:
        a = self._assignment
        return {
            "run_id": a.run_id,
            "execution": a.execution,
            "rank": a.rank,
            "world_size": a.world_size,
            "attempt": claim.attempt,
            "tries": tries,
            "token": self._token,
            "gather_error": claim.gather_error,
        }

    def _put(self, content: Record) -> bool:
        """Replaces the version that is known, or creates the first."""
        etag = self._objects.store.put_json(
            self._key,
            content,
            metadata=self._objects.metadata,
            if_absent=self._etag is None,
            if_match=self._etag,
        )
        if etag is not None:
            self._etag = etag
        return etag is not None

    def _look(self) -> Record | None:
        """What is there, whose version is known then; None where there is nothing. What is not JSON is nobody's."""
        there = self._objects.store.look(self._key)
        self._etag = there.etag if there is not None else None
        if there is None:
            return None
        try:
            content = parse_json(there.data)
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}

    def _contested(self) -> StorageUnavailable:
        return StorageUnavailable(f"{self._objects.store.url(self._key)} was written by others each of {TRIES} times")
