"""A node of the virtual tree below `.pyi/`: a value, so that the mount can use it as a key."""

from dataclasses import dataclass
from typing import Literal

from pyi_fs.ids import ViewNumber

Kind = Literal["directory", "file", "link"]


@dataclass(frozen=True, slots=True)
class ControlNode:
    """One directory, file or symlink.

    `path`: names below the `.pyi/` of that view; `()` is `.pyi/` itself.
    """

    view: ViewNumber
    path: tuple[bytes, ...]
    kind: Kind

    def child(self, name: bytes, kind: Kind) -> "ControlNode":
        """Returns the node of a name in this directory."""
        return ControlNode(self.view, (*self.path, name), kind)
