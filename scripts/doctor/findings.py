"""What was looked at, what was found, and what to do about it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from lambda_image.errors import RunError
from scripts.stack.account import explained

State = Literal["ok", "note", "skipped", "failed"]  # a note is worth knowing and stops no run
WIDTH = 16  # of names


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: State
    what: str
    next_step: str = ""  # what to do, where something can be done

    def lines(self) -> Iterator[str]:
        """Says it, for the terminal."""
        yield f"{self.state:8} {self.name:{WIDTH}} {self.what}"
        if self.next_step:
            yield f"{'':8} {'':{WIDTH}} next: {self.next_step}"


@dataclass
class Findings:
    """Everything that was found, each thing said at once."""

    say: Callable[[str], None]
    found: list[Finding] = field(default_factory=list)

    def add(self, *findings: Finding) -> None:
        """Takes note of findings, and says them."""
        for finding in findings:
            self.found.append(finding)
            for line in finding.lines():
                self.say(line)

    @contextmanager
    def looking_at(self, name: str) -> Iterator[None]:
        """Makes a finding of what is refused in the block, so that the other things are looked at, too."""
        try:
            with explained():
                yield
        except RunError as error:
            self.add(Finding(name, "failed", error.message))

    @property
    def failed(self) -> bool:
        """Says whether anything keeps runs from working."""
        return any(finding.state == "failed" for finding in self.found)

    def to_json(self) -> list[dict[str, Any]]:
        """Makes a list of objects."""
        return [asdict(finding) for finding in self.found]


def each(findings: Iterable[Finding], name: str, fine: str) -> list[Finding]:
    """Returns the findings, or one that says that all is fine where there are none."""
    return list(findings) or [Finding(name, "ok", fine)]
