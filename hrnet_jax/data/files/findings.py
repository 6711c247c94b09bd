"""What was left out of annotation files, or derived, and how often."""

from collections import Counter
from pathlib import Path

Finding = tuple[str, str, int]


class Findings:
    """Counts what a reader did that the file does not say, for the summary.

    Each is a note in plain words, `annotations without key points, left out`.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def count(self, path: Path, what: str, number: int = 1) -> None:
        """Adds to what was found in a file; nothing for a number of 0."""
        if number:
            self._counts[path.name, what] += number

    def listed(self) -> tuple[Finding, ...]:
        """(name of the file, what, how often), in the order of their first."""
        return tuple(
            (name, what, count) for (name, what), count in self._counts.items()
        )
