"""Two storages in memory as the tiers of one: `disk` outlives power, `memory` only processes."""

import copy
from collections.abc import Callable
from pathlib import Path

from pyi_fs.store.storage import Storage
from pyi_fs.store.tiers import TieredStorage
from tests.support.crashes import Moment, RecordingStorage
from tests.support.memory_file import MemoryFile
from tests.support.storage import CHANGING_CALLS
from tests.support.workspaces import IndexShelf

NOWHERE = "/nonexistent"
"""Where the files of a tier in memory are not."""


class _Tier(RecordingStorage):
    """One tier; what happens to it is a moment of both."""

    tiers: "Tiers | None" = None
    refuses: Callable[[str, str], None] | None = None
    """Told of each call and its path before it takes effect; may raise instead."""

    def _before(
        self, call: str, path: str, file: MemoryFile | None = None, data: bytes = b""
    ) -> None:
        if self.refuses is not None:
            self.refuses(call, path)
        tiers = self.tiers
        if tiers is None or tiers.moments is None or call not in CHANGING_CALLS or call == "lock":
            return
        tiers.moments.append(Moment(tiers.step, call, path, tiers.copied()))
        if len(data) > 1:
            torn = tiers.copied()
            part = data[: self.chance.randrange(1, len(data))]
            which = torn.disk_tier if self is tiers.disk_tier else torn.memory_tier
            if which.append_part(path, part):
                tiers.moments.append(Moment(tiers.step, f"torn {call}", path, torn))


class Tiers(TieredStorage):
    """A machine with a disk and a memory, as a storage; `moments` as of `RecordingStorage`."""

    def __init__(self, disk: RecordingStorage, memory: RecordingStorage) -> None:
        self.moments: list[Moment] | None = None
        self.step = 0
        self.disk_tier = _tier(disk, self)
        self.memory_tier = _tier(memory, self)
        super().__init__(self.disk_tier, self._find)

    def _find(self, create: bool) -> Storage | None:
        return self.memory_tier if create or self.memory_tier.list("") else None

    def copied(self) -> "Tiers":
        """Returns another machine in the same state."""
        return Tiers(self.disk_tier.copied(), self.memory_tier.copied())

    def killed(self, shelf: IndexShelf) -> "Tiers":
        """Returns what the next process finds, with a new, empty chunk index."""
        return Tiers(self.disk_tier.killed(shelf), self.memory_tier.copied())

    def without_power(self, shelf: IndexShelf, seed: int) -> "Tiers":
        """Returns what the next boot may find."""
        return Tiers(self.disk_tier.without_power(shelf, seed), RecordingStorage(NOWHERE))

    def without_memory(self, shelf: IndexShelf) -> "Tiers":
        """Returns what the next process finds when somebody has cleared the memory."""
        return Tiers(self.disk_tier.killed(shelf), RecordingStorage(NOWHERE))


def _tier(storage: RecordingStorage, tiers: Tiers) -> _Tier:
    names = copy.copy(storage._names)  # noqa: SLF001 - its own kind
    tier = _Tier(storage._host_root, names=names)  # noqa: SLF001
    tier.tiers = tiers
    return tier


def new_tiers(directory: Path) -> Tiers:
    """Returns an empty machine; its chunk index is in a directory of the host."""
    return Tiers(RecordingStorage(directory), RecordingStorage(NOWHERE))
