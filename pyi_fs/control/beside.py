"""What serves further mounts beside the one whose `.pyi/` is asked, and who asks for one.

Who asks stands in the context of the task or thread that does it; what that begins inherits it.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Protocol

from pyi_fs.control.commands import MountCommand

UID: ContextVar[int] = ContextVar("uid", default=-1)
"""The user who opened the control file."""
THREAD: ContextVar[int] = ContextVar("thread", default=0)
"""The thread that waits for the answer, as this process sees it; 0: it does not, or nobody told."""


class Beside(Protocol):
    """The process that serves a mount."""

    def serve(self, command: MountCommand) -> bytes:
        """Serves another mount; returns where, once it answers. For a thread, which waits.

        `RequestError` if it cannot.
        """

    def served(self) -> Sequence[tuple[str, bytes]]:
        """Returns what this process serves: as `MountCommand` names it, and where."""
