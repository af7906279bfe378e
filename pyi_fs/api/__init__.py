"""Workspaces for Python programs, without a mount: the same engine, the same store.

`docs/python-api.md`.
"""

from pyi_fs.api.records import Change, Operation, Snapshot, Stat
from pyi_fs.api.workspace import Workspace

__all__ = ["Change", "Operation", "Snapshot", "Stat", "Workspace"]
