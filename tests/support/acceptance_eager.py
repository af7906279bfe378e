"""Mounts that seal at once, and `pyi-gc` that collects at once: to see in seconds what takes hours.

Both are real: a mount with its background work, the command in a process of its own.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support import command_process
from tests.support.acceptance import finish, stop

# What was deleted goes at once, as it would after ten minutes.
AT_ONCE = {
    "pyi_fs.limits.GARBAGE_GRACE_SECONDS": 0,
    "pyi_fs.limits.RETENTION_AGE_SECONDS_MIN": 0,
}
# Whatever is written is sealed at once, as it would be after an idle minute; and a snapshot that
# was looked at is let go of.
EAGER: dict[str, Any] = {
    "settings": {
        "pyi_fs.limits.SEAL_IDLE_SECONDS": 0,
        "pyi_fs.engine.background._TICK_SECONDS": 0.01,
        "pyi_fs.engine.background._ROOT_IDLE_SECONDS": 0,
    },
    "sync_interval": 0.05,
}
_RUNS_MAX = 100


class Collector:
    """`pyi-gc`, again and again; how often, and what it said that it did."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self.runs = self.maps = self.packs = 0

    def run(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Collects once; calls `meanwhile` while the command runs."""
        collector = command_process.start("gc", "--json", "--store", self._store, settings=AT_ONCE)
        try:
            meanwhile()
            done = json.loads(finish(collector))["done"]
        finally:
            stop(collector)
        self.runs += 1
        self.maps += done["maps"]
        self.packs += done["packs"]

    def until_sealed(self) -> None:
        """Collects until nothing that was written is left to be sealed."""
        first = self.runs
        while self._has_scratch():
            assert self.runs < first + _RUNS_MAX, "nothing is sealed"
            self.run()

    def _has_scratch(self) -> bool:
        """Returns whether a segment has something in it; that of a spare layer has not."""
        for path in (self._store / "layers").glob("*/*/scratch-*"):
            with suppress(FileNotFoundError):
                if path.stat().st_size:
                    return True
        return False
