"""pyi-fs: a copy-on-write filesystem for AI-agent sandboxes."""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Returns `Workspace`, imported at its first use.

    Most who import this package want only a part of it.
    """
    if name == "Workspace":
        from pyi_fs.api import Workspace

        return Workspace
    raise AttributeError(f"module 'pyi_fs' has no attribute {name!r}")
