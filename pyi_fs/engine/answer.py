"""What taking a snapshot answers, as text."""

from typing import NamedTuple

from pyi_fs.model.refs import Snapshot


class Answer(NamedTuple):
    """What taking a snapshot answers."""

    snapshot: Snapshot
    unchanged: bool

    def line(self) -> str:
        """Returns `ID<TAB>+A ~M -D`, or `ID<TAB>unchanged`."""
        if self.unchanged:
            return f"{self.snapshot.id}\tunchanged"
        return line_of(self.snapshot)


def line_of(snapshot: Snapshot) -> str:
    """Returns the line a snapshot was answered with."""
    return f"{snapshot.id}\t+{snapshot.added} ~{snapshot.modified} -{snapshot.deleted}"
