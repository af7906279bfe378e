"""A view: one tree as a mount shows it (the root, a branch, a snapshot).

A branch's view is *live* while this process holds the branch, and *held* while another one does:
then it shows the branch's newest snapshot, read-only. Before its first use it is neither (a listing
names branches without locking them). What a view shows is changed by `session.py` alone, which
tells the mount with a `ViewChange`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from pyi_fs.engine.branch import Branch
from pyi_fs.ids import BranchName, Position, ViewNumber
from pyi_fs.model.refs import Snapshot
from pyi_fs.model.tree import Tree


@dataclass(eq=False, slots=True)
class View:
    """One tree of a mount. Compared by identity: a number is never given to a second view.

    `name`: the branch that is meant, None for a snapshot. `branch`: set while it is live.
    `held_tree`: what is shown while another process has the branch. `source` finds the tree when
    neither is set. `reads`: where in a layer that tree is, if nobody here writes it. `is_gone`: the
    path of the view does not exist any more; who has files of it open may keep using them.
    `kept_as`: what a mount notes it by, if that is not its number.
    """

    number: ViewNumber
    name: BranchName | None
    snapshot: Snapshot | None
    read_only: bool
    source: Callable[[], Tree] = field(repr=False)
    branch: Branch | None = None
    held_tree: Tree | None = None
    reads: Position | None = None
    is_gone: bool = False
    kept_as: int = 0

    @property
    def tree(self) -> Tree:
        """Returns the tree to show now. Opens (and locks) a branch that was not used before."""
        branch = self.branch
        if branch is not None:
            return branch.tree
        return self.held_tree if self.held_tree is not None else self.source()

    @property
    def label(self) -> str:
        """Returns where the view stands below `.pyi/`; `/` for the root."""
        if self.number == 0:
            return "/"
        if self.snapshot is not None:
            return f"snapshots/{self.snapshot.name or self.snapshot.id}"
        return f"branches/{self.name}"


@dataclass(frozen=True, slots=True)
class ViewChange:
    """A view shows something else, by other means than a publish of its branch.

    `old_tree`: what it showed, None if it is gone. `old_branch`: the branch it wrote to.
    `old_reads`: where that was, if nobody here wrote it.
    `moved_to`: the view that shows `old_branch` from now on, if any. With `view.is_gone` the path
    of the view is gone too.
    """

    view: View
    old_tree: Tree | None
    old_branch: Branch | None
    moved_to: View | None
    old_reads: Position | None = None
