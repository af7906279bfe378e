"""The findings of a full check for one tree after the other, at the cost of what changed.

Part of `engine/fsck_trees.py`. After a tree that is sound only what changed is looked at
(`model/check_changes.py`); where that shows anything, or cannot be told, the whole tree is checked.
"""

from pyi_fs.model.check import Finding, check
from pyi_fs.model.check_changes import Changes, is_sound_base, is_still_sound
from pyi_fs.model.tree import Base, Tree


class Soundness:
    """What is known about the trees of one layer, ascending, all over one base.

    `changes` is given every mutation between two of them.
    """

    def __init__(self) -> None:
        """Knows nothing."""
        self.changes = Changes()
        self._sound: Tree | None = None
        self._base: tuple[Base, bool] | None = None

    def findings(self, tree: Tree) -> list[Finding]:
        """Returns what is wrong with the next tree: just what `check` says."""
        before, self._sound = self._sound, tree
        is_sound = before is not None and self._is_still_sound(before, tree)
        self.changes.clear()
        if is_sound:
            return []
        found = check(tree)
        if found:
            self._sound = None
        return found

    def _is_still_sound(self, before: Tree, tree: Tree) -> bool:
        try:
            return self._is_sound_base(before.base) and is_still_sound(before, tree, self.changes)
        except Exception:  # noqa: BLE001
            # A damaged byte may make a decoder do anything. Whether one that the tree needs is told
            # by the check of the whole tree.
            return False

    def _is_sound_base(self, base: Base) -> bool:
        if self._base is None or self._base[0] is not base:
            self._base = base, False
            self._base = base, is_sound_base(base)
        return self._base[1]
