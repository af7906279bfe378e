"""pyi-fs: a copy-on-write filesystem for AI-agent sandboxes."""

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Returns `Workspace`, imported at its first use.

    Most who import this package want only a part of it. Nothing is imported before, not even
    `typing`: until `cli/entry.py` runs, Ctrl-C prints a traceback.
    """
    if name == "Workspace":
        from pyi_fs.api import Workspace

        return Workspace
    raise AttributeError(f"module 'pyi_fs' has no attribute {name!r}")
