"""What a rank's record says of its predictions, so that a run's is found from records without reading tables.

Each part adds up with those of other ranks to what one rank would have said of all galaxies, whatever the order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lambda_image.accuracy_parts import AccuracyParts
from lambda_image.data.predictions import Predictions


@dataclass
class Statistics:
    """Holds the parts, one for each subject."""

    accuracy: AccuracyParts = field(default_factory=AccuracyParts)

    def add(self, table: Predictions) -> None:
        """Counts in the galaxies of a table."""
        self.accuracy.add(table.redshift, table.redshift_true)

    def to_json(self) -> dict[str, Any]:
        """Gives the parts as a record has them."""
        return {"accuracy": self.accuracy.to_json()}

    def merge(self, other: "Statistics") -> None:
        """Counts in the galaxies of another one."""
        self.accuracy.merge(other.accuracy)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Statistics":
        """Reads what a record has.

        Raises:
            ValueError: `to_json` has not given it.
        """
        try:
            return cls(AccuracyParts.from_json(content["accuracy"]))
        except (LookupError, TypeError) as error:
            raise ValueError(f"not statistics: {error}") from error


def without_sketches(content: Mapping[str, Any]) -> dict[str, Any]:
    """Leaves out what only adding up needs, which has a byte for each galaxy.

    Args:
        content: what `Statistics.to_json` gives.
    """
    return {subject: {name: part[name] for name in part if name != "sketch"} for subject, part in content.items()}
