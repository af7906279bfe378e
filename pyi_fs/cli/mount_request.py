"""A mount as it was asked for.

A value that the command line makes and the serving process keeps.
"""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyi_fs.cli.arguments import Place, device_label
from pyi_fs.cli.log_file import log_path


@dataclass(frozen=True)
class MountRequest:
    """What to mount where. Durations are seconds, None: the default; `flags` are for mount(2).

    `holder`: the mount goes on when its server dies, where it can.
    """

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
    holder: bool = True

    @property
    def shown(self) -> str:
        """Returns a name for what is mounted: its branch, or `@` and its snapshot."""
        return self.branch or "main" if self.where.at is None else f"@{self.where.at}"

    @property
    def log(self) -> Path:
        """Returns the file that a mount in the background logs to; `ForeignFileError`."""
        return log_path(self.store, self.where.workspace, self.shown)

    def fields(self) -> dict[str, object]:
        """Returns it as numbers, texts, bytes and lists, for `from_fields`.

        Paths are bytes: any that the host has can be written down.
        """
        plain = dataclasses.asdict(self)
        where = [self.where.workspace, self.where.at]
        return {
            **plain,
            "store": os.fsencode(self.store),
            "where": where,
            "mountpoint": os.fsencode(self.mountpoint),
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "MountRequest":
        """Returns the request whose `fields` these are."""
        return cls(
            **{
                **fields,
                "store": Path(os.fsdecode(fields["store"])),
                "where": Place(*fields["where"]),
                "mountpoint": Path(os.fsdecode(fields["mountpoint"])),
                "flags": tuple(fields["flags"]),
            }
        )

    def label(self, snapshot: str | None) -> str:
        """Returns the source of the mount; `snapshot` is what is shown, None for a branch."""
        return device_label(self.store, Place(self.where.workspace, snapshot))
