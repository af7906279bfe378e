"""How a store is collected: one small file in it, for all who collect. Absent: the defaults.

`docs/garbage.md` has the words; `pyi-gc set` writes the file, and people may.
"""

from typing import Annotated

import msgspec

from pyi_fs import limits
from pyi_fs.engine.retention import Policy, Step
from pyi_fs.errors import InvalidArgumentError
from pyi_fs.store import layout
from pyi_fs.store.storage import Storage

_HOUR = 3600
_DAY = 24 * _HOUR

Bytes = Annotated[int, msgspec.Meta(ge=0)]
Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]
Seconds = Annotated[int, msgspec.Meta(ge=0)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What somebody may want otherwise.

    `budget_…`: how large layers and packs may become; of bytes and a share of the disk the smaller
    one, None: no limit. `free_…`: less room on the disk than that is too little; None: any is
    enough. `plain_…`: how large all plain files together may become, as `budget_…`; 0: none are
    made. `…_seconds`: up to which age all snapshots stay, one an hour, one a day, one a week
    (None: for ever).
    """

    automatic: bool = True
    budget_bytes: Bytes | None = None
    budget_percent: Percent | None = 80
    free_bytes: Bytes | None = None
    free_percent: Percent | None = 5
    plain_bytes: Bytes | None = None
    plain_percent: Percent | None = 10
    all_seconds: Seconds = _DAY
    hourly_seconds: Seconds = 7 * _DAY
    daily_seconds: Seconds = 30 * _DAY
    weekly_seconds: Seconds | None = None

    def policy(self) -> Policy:
        """Returns the rules for snapshots."""
        steps = (
            Step(self.hourly_seconds, _HOUR),
            Step(self.daily_seconds, _DAY),
            Step(self.weekly_seconds, 7 * _DAY),
        )
        return Policy(self.all_seconds, steps)

    def budget(self, disk_bytes: int) -> int | None:
        """Returns how large layers and packs may be on a disk of that size; None: as they like."""
        share = None if self.budget_percent is None else disk_bytes * self.budget_percent // 100
        found = [one for one in (self.budget_bytes, share) if one is not None]
        return min(found, default=None)

    def free(self, disk_bytes: int) -> int:
        """Returns how much room there should be on a disk of that size."""
        if self.free_bytes is not None:
            return self.free_bytes
        share = 0 if self.free_percent is None else disk_bytes * self.free_percent // 100
        return min(share, limits.FREE_BYTES_DEFAULT_MAX)

    def plain(self, disk_bytes: int) -> int:
        """Returns how much of a disk of that size plain files may have."""
        if self.plain_bytes is not None:
            return self.plain_bytes
        if self.plain_percent is None:
            return disk_bytes
        return min(disk_bytes * self.plain_percent // 100, limits.PLAIN_BYTES_DEFAULT_MAX)


DEFAULT = Settings()
_decode = msgspec.json.Decoder(Settings).decode


def read_settings(storage: Storage) -> Settings:
    """Returns the settings of a store; `InvalidArgumentError` if the file says nothing sensible."""
    try:
        data = storage.read(layout.COLLECTOR_SETTINGS)
    except FileNotFoundError:
        return DEFAULT
    try:
        return _decode(data)
    except msgspec.MsgspecError as error:
        path = storage.host_path(layout.COLLECTOR_SETTINGS)
        raise InvalidArgumentError(f"{path}: {error} (remove it for the defaults)") from None


def write_settings(storage: Storage, settings: Settings) -> None:
    """Replaces the settings of a store; durable on return."""
    data = msgspec.json.format(msgspec.json.encode(settings), indent=2)
    storage.write_atomic(layout.COLLECTOR_SETTINGS, [data, b"\n"])
