"""One bit of one file of a store is another: right bytes or an error, never wrong ones.

The store has all there can be (`support/damage.py`): sealed and unsealed, tables, packs, a fork.
Each file of each branch and snapshot is compared for itself: that one cannot be read says nothing
of the next.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest

from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import PyiError
from pyi_fs.ids import BranchName, WorkspaceName
from pyi_fs.model.tree import Tree
from tests.support.damage import build, files_of
from tests.support.judging import bounded, fresh_copy

pytestmark = pytest.mark.slow

WORKSPACES = ("a", "fork")
REFUSED = "refused"
Place = tuple[str, ...]


def shown(workspace: Workspace, tree: Tree) -> Iterator[tuple[bytes, object]]:
    """Yields each path with what it holds; `REFUSED` where that cannot be read."""
    for path, _, inode in tree.walk():
        content: object = (inode.mode, inode.size, inode.target)
        if inode.is_file:
            try:
                content = (inode.mode, workspace.reader.read_all(inode))
            except PyiError:
                content = REFUSED
        yield path, content


def everything(path: Path) -> dict[Place, object]:
    """Returns what can be read: tree by tree, path by path."""
    found: dict[Place, object] = {}
    store = Store.open(path, create=False)
    try:
        for name in WORKSPACES:
            found[name,] = REFUSED
            with suppress(PyiError), closing(Workspace(store, WorkspaceName(name))) as workspace:
                look_at(workspace, name, found)
                found[name,] = "open"
    finally:
        store.close()
    return found


def look_at(workspace: Workspace, name: str, found: dict[Place, object]) -> None:
    for branch in workspace.refs.branch_names():
        give = partial(present, workspace, branch)
        look_at_tree(workspace, (name, "branch", branch), give, found)
    for snapshot in workspace.refs.ordered():
        give = partial(workspace.snapshot_tree, snapshot)
        look_at_tree(workspace, (name, "snapshot", snapshot.id), give, found)


def present(workspace: Workspace, branch: BranchName) -> Tree:
    return workspace.open_branch(branch).tree


def look_at_tree(
    workspace: Workspace, place: Place, give: Callable[[], Tree], found: dict[Place, object]
) -> None:
    try:
        paths = dict(shown(workspace, give()))
    except PyiError:
        found[place] = REFUSED
        return
    found[place] = sorted(paths)
    for path, content in paths.items():
        found[*place, repr(path)] = content


def wrong(sound: dict[Place, object], found: dict[Place, object]) -> list[Place]:
    """Returns the places that show something, and not what is there."""
    return [
        place
        for place, content in found.items()
        if content != REFUSED and content != sound.get(place)
    ]


def test_whatever_bit_is_flipped_no_wrong_byte_is_read(tmp_path: Path, is_long: bool) -> None:
    """In every file: the first bytes, the last, and places between; each flip on a fresh copy."""
    template = tmp_path / "store"
    build(template)
    sound = everything(template)
    assert len(sound) > 20
    assert REFUSED not in sound.values()
    refused = flips = 0
    for file in files_of(template):
        length = file.stat().st_size
        chance = random.Random(file.name)
        some = chance.sample(range(length), min(length, 100 if is_long else 2))
        for place in sorted({0, length - 1, *some} & set(range(length))):
            store = fresh_copy(template, tmp_path / "copy")
            with (store / file.relative_to(template)).open("r+b") as damaged:
                damaged.seek(place)
                (byte,) = damaged.read(1)
                damaged.seek(place)
                damaged.write(bytes([byte ^ 1 << chance.randrange(8)]))
            try:
                with bounded():
                    found = everything(store)
            except PyiError:
                found = {("store",): REFUSED}
            flips += 1
            refused += REFUSED in found.values()
            where = f"{file.relative_to(template)} at {place} of {length}"
            assert wrong(sound, found) == [], where
    # It is no test if no damage is met.
    assert refused > flips / 5, (refused, flips)
