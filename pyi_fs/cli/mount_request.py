"""A mount as it was asked for.

A value that the command line makes and the serving process keeps.
"""

from dataclasses import dataclass
from pathlib import Path

from pyi_fs.cli.arguments import Place, device_label


@dataclass(frozen=True)
class MountRequest:
    """What to mount where. Durations are seconds, None: the default; `flags` are for mount(2)."""

    store: Path
    where: Place
    mountpoint: Path
    branch: str | None = None
    read_only: bool = False
    allow_other: bool = False
    control_uid: int | None = None
    snapshot_every: float | None = None
    sync_interval: float | None = None
    ephemeral_bytes: int | None = None
    writeback: bool = False
    transport: str | None = None
    spin_us: float | None = None
    flags: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """Returns a name for what is mounted: its branch, or `@` and its snapshot."""
        return self.branch or "main" if self.where.at is None else f"@{self.where.at}"

    def label(self, snapshot: str | None) -> str:
        """Returns the source of the mount; `snapshot` is what is shown, None for a branch."""
        return device_label(self.store, Place(self.where.workspace, snapshot))
