"""What a peer is: a directory to work in, made and taken down again.

A peer that cannot be had here says why in `missing()`; the report repeats the sentence.
"""

import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

BIN = Path(sys.executable).parent


def run(words: Sequence[object], **options: object) -> str:
    """Runs a command, returns its standard output; `RuntimeError` with its errors if it fails."""
    found = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        **options,  # type: ignore[call-overload]
    )
    if found.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: {found.stderr.strip()[-500:]}")
    return str(found.stdout)


def lacks(*commands: str, root: bool = False) -> str | None:
    """Returns why a peer that needs these commands (and root) cannot be had, or None."""
    for command in commands:
        if shutil.which(command) is None:
            return f"{command} is not installed"
    if root and os.geteuid() != 0:
        return "needs root"
    return None


def lacks_loop() -> str | None:
    """Returns why no file can be mounted as a disk here (as in most containers), or None."""
    if not Path("/dev/loop-control").exists():
        return "no loop devices (/dev/loop-control)"
    return None


class Peer(ABC):
    """A filesystem to do the same work on."""

    name: str

    def missing(self) -> str | None:
        """Returns in a few words why it cannot be had here; None if it can."""
        return None

    @abstractmethod
    def start(self, base: Path) -> Path:
        """Makes it below `base`, an empty directory of its own; returns where to work."""

    def end(self) -> None:  # noqa: B027  a plain directory has nothing to take down
        """Takes it down; what lies below `base` is removed by the caller."""
