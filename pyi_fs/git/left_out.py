"""What an export leaves out, counted by reason, with the first few paths of each."""

from dataclasses import dataclass, field

# As many as fit a line of a terminal.
PATHS_MAX = 5
EMPTY = "empty directories"
IGNORED = "files that .gitignore names"


@dataclass
class LeftOut:
    """Counts by reason, which is a plural noun.

    A path is counted again by each commit for which it was looked at again.
    """

    counts: dict[str, int] = field(default_factory=dict)
    paths: dict[str, list[bytes]] = field(default_factory=dict)

    def add(self, reason: str, path: bytes) -> None:
        """Counts a path."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        first = self.paths.setdefault(reason, [])
        if len(first) < PATHS_MAX and path not in first:
            first.append(path)
